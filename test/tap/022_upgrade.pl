# pg_upgrade takes indexes and generated keys along; a dump and restore builds indexes anew.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbTest;

my $old = new_node('old', conf => 'autovacuum = off');
$old->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(32));
	INSERT INTO item SELECT i, (SELECT array_agg(((hashint8extended(i * 100 + j, 7) & 65535) / 65536.0
			+ i % 10)::real) FROM generate_series(1, 32) j)::vector
		FROM generate_series(1, 5000) i;
	CREATE INDEX item_v ON item USING vdb (v) WITH (code_bits = 4);
	CREATE INDEX item_plain ON item USING vdb (v vector_l1_ops) WITH (encrypt_at_rest = off);
	INSERT INTO item SELECT id + 10000, v FROM item LIMIT 100;
	DELETE FROM item WHERE id % 10 = 0;
	VACUUM (INDEX_CLEANUP ON) item;
	CREATE TABLE nothing (v halfvec(3));
	CREATE INDEX nothing_v ON nothing USING vdb (v)});

my $search = "SET enable_seqscan = off;"
	. "SELECT id FROM item ORDER BY v <-> (SELECT v FROM item WHERE id = 77) LIMIT 5";
my $stats = 'SELECT indexname, metric, master_key_id, rows, lists, delta_rows, tombstones, size_bytes, theta, '
	. 'measured_recall FROM vdb.stat_index ORDER BY indexname';
my $check = "SELECT vdb.check('item_v', true), vdb.check('item_plain', true), vdb.check('nothing_v', true)";
my %before = map { $_ => $old->safe_psql('postgres', $_) } $search, $stats, $check;
like($before{$search}, qr/^77$/m, 'the old server answers');
my $dump = $old->basedir . '/dump.sql';
$old->command_ok([ 'pg_dump', '-d', $old->connstr('postgres'), '-f', $dump ], 'dump');
unlike(slurp_file($dump), qr/^COPY vdb\./m, 'no dump holds a key');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'vdb_ext'\nautovacuum = off");
$old->stop;
my $bindir = $new->config_data('--bindir');
chdir ${PostgreSQL::Test::Utils::tmp_check} or die $!;
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
$new->start;
is($new->safe_psql('postgres', $_), $before{$_}, "after the upgrade: $_") foreach $search, $stats, $check;
$new->safe_psql('postgres', 'INSERT INTO item SELECT id + 20000, v FROM item LIMIT 100;
	REINDEX INDEX item_v; INSERT INTO nothing VALUES (\'[1,2,3]\')');
is($new->safe_psql('postgres', "SELECT c.rows, n.delta_rows FROM vdb.check('item_v', true) c, vdb.check('nothing_v', true) n"),
	'4690|1', 'the new server writes and builds');

$new->safe_psql('postgres', 'CREATE DATABASE restored');
$new->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $new->connstr('restored'), '-f', $dump ], 'restore');
is($new->safe_psql('restored', $search), $before{$search}, 'the restored database answers');
is($new->safe_psql('restored', q{SELECT count(DISTINCT master_key_id), count(*) FILTER (WHERE encrypted)
		FROM vdb.stat_index}), '1|2', 'with a key of its own');

# A template takes table and keys along.
$new->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE restored');
is($new->safe_psql('copy', $search), $before{$search}, 'a copy by template answers');
is($new->safe_psql('copy', $stats), $new->safe_psql('restored', $stats), 'and is the same');
$new->stop;
done_testing();
