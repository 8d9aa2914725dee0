# pg_upgrade takes indexes and generated keys along, and follows remote ones to their servers; a dump and restore builds
# indexes anew.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbGarbage;
use VdbTest;

my $conf = "autovacuum = off\nvdb.gc_retention = 0\n";
my $old = new_node('old', conf => $conf);
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

# Indexes in stores. Those of server b have been dropped; remote_c is about to be moved.
my %path = map { $_ => new_store("store_$_") } 'a' .. 'd';
$old->safe_psql('postgres', join ';', map {
	"CREATE SERVER $_ FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path{$_}')"
} reverse sort keys %path);
$old->safe_psql('postgres', 'CREATE TABLE remote (id int, v vector(32)); INSERT INTO remote SELECT * FROM item WHERE id <= 3000');
$old->safe_psql('postgres', "CREATE INDEX remote_$_ ON remote USING vdb (v) WITH (store = $_)") foreach 'a' .. 'c';
$old->safe_psql('postgres', 'DROP INDEX remote_b; ALTER INDEX remote_c SET (store = d)');
# Its owner's right to the server is a GRANT, which is the last thing in a dump.
$old->safe_psql('postgres', q{
	CREATE ROLE alice LOGIN;
	GRANT USAGE ON FOREIGN SERVER d TO alice;
	GRANT CREATE ON SCHEMA public TO alice;
	CREATE TABLE hers AS SELECT * FROM remote;
	ALTER TABLE hers ALTER v TYPE vector(32);
	ALTER TABLE hers OWNER TO alice;
	CREATE INDEX hers_v ON hers USING vdb (v) WITH (store = d)});
# One that only sessions with vdb.allow_http can use.
$old->safe_psql('postgres', q{
	SET vdb.allow_http = on;
	CREATE SERVER web FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url 'http://127.0.0.1:1')});
my $oid = q{SELECT oid FROM pg_foreign_server WHERE srvname = 'a'};
my $old_oid = $old->safe_psql('postgres', $oid);
my %stored = map { $_ => scalar objects($path{$_}) } keys %path;

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
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'vdb_ext'\n$conf");
# An index that is local in the old cluster stays so.
$new->append_conf('postgresql.conf', 'vdb.default_store = a');
$old->stop;
my $bindir = $new->config_data('--bindir');
chdir ${PostgreSQL::Test::Utils::tmp_check} or die $!;
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
$new->append_conf('postgresql.conf', "vdb.default_store = ''");
$new->start;
is($new->safe_psql('postgres', $_), $before{$_}, "after the upgrade: $_") foreach $search, $stats, $check;
$new->safe_psql('postgres', 'INSERT INTO item SELECT id + 20000, v FROM item LIMIT 100;
	REINDEX INDEX item_v; INSERT INTO nothing VALUES (\'[1,2,3]\')');
is($new->safe_psql('postgres', "SELECT c.rows, n.delta_rows FROM vdb.check('item_v', true) c, vdb.check('nothing_v', true) n"),
	'4690|1', 'the new server writes and builds');

# Servers have other oids now, which neither pages nor ledger know.
isnt($new->safe_psql('postgres', $oid), $old_oid, 'a server has another oid');
my $in_ledger = 'SELECT DISTINCT srvname FROM vdb.object o LEFT JOIN pg_foreign_server s ON s.oid = o.server ORDER BY 1';
isnt($new->safe_psql('postgres', $in_ledger), "a\nb\nc\nd", 'and the ledger the old one');
foreach my $index ('a', 'c')
{
	my $other = $index eq 'a' ? 'c' : 'a';
	is($new->safe_psql('postgres', "BEGIN; DROP INDEX remote_$other; SET enable_seqscan = off;"
		. 'SELECT id FROM remote ORDER BY v <-> (SELECT v FROM item WHERE id = 77) LIMIT 1; ROLLBACK'), '77', "remote_$index answers");
	is($new->safe_psql('postgres', "SELECT store FROM vdb.stat_index WHERE indexname = 'remote_$index'"), $index, 'from its store');
}
my $read = q{SELECT rows FROM vdb.check('remote_a', true)};
my $forget = 'BEGIN; DELETE FROM vdb.store_owner;';
is($new->safe_psql('postgres', "$forget $read; ROLLBACK"), '2700', 'without its owner record an index is where it depends on');
like(gc_error($new, "$forget DELETE FROM pg_depend WHERE refclassid = 'pg_foreign_server'::regclass AND classid = 'pg_class'::regclass; $read"),
	qr/ERROR:  42704.*store of index "remote_a" is not known.*HINT:.*REINDEX/s, 'without either it is nowhere');
$new->safe_psql('postgres', 'DROP SERVER web');
like(gc_error($new, 'DROP SERVER b'), qr/ERROR:  2BP01.*vdb\.object has $stored{b} of them/s, 'DROP SERVER knows of objects of the old cluster');
my $kept = $stored{a} + $stored{c} + $stored{d};
is(gc_actions($new, 'true'), "kept $kept, would remove $stored{b}", 'a dry run after the upgrade');
is($new->safe_psql('postgres', $in_ledger), "a\nb\nc\nd", 'the ledger has followed');
is(gc_actions($new), "kept $kept, removed $stored{b}", 'what was dropped before the upgrade goes');
is(join(' ', map { scalar objects($path{$_}) } 'a' .. 'd'), "$stored{a} 0 $stored{c} $stored{d}", 'and nothing else');
$new->safe_psql('postgres', 'DROP SERVER b; REINDEX TABLE remote');
is(gc_actions($new), "kept $kept, removed " . ($stored{a} + $stored{c}), 'REINDEX, under the new names');
is($new->safe_psql('postgres', q{SELECT indexname, store FROM vdb.stat_index WHERE tablename = 'remote' ORDER BY 1}),
	"remote_a|a\nremote_c|d", 'each where its options say');
$new->safe_psql('postgres', 'DROP INDEX remote_a; DROP INDEX remote_c');
is($new->safe_psql('postgres', q{SELECT action, count(*) FROM vdb.purge('a') GROUP BY 1}), "removed|$stored{a}", 'purge');
is(gc_actions($new), "kept $stored{d}, removed $stored{c}", 'the others go by themselves');
$new->safe_psql('postgres', 'DROP TABLE remote; DROP SERVER a; DROP SERVER c');
my $hers = "SET enable_seqscan = off; SELECT id FROM hers ORDER BY v <-> (SELECT v FROM hers WHERE id = 77) LIMIT 1";
is($new->safe_psql('postgres', $hers, extra_params => [ '-U', 'alice' ]), '77', 'her index answers her');

$new->safe_psql('postgres', 'CREATE DATABASE restored');
$new->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $new->connstr('restored'), '-f', $dump ], 'restore');
is($new->safe_psql('restored', $search), $before{$search}, 'the restored database answers');
is($new->safe_psql('restored', $hers, extra_params => [ '-U', 'alice' ]), '77', 'so does her index, in a store');
is($new->safe_psql('restored', q{SELECT count(DISTINCT master_key_id), count(*) FILTER (WHERE encrypted)
		FROM vdb.stat_index WHERE store = 'local'}), '1|2', 'with a key of its own');

# A template takes table and keys along.
$new->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE restored');
is($new->safe_psql('copy', $search), $before{$search}, 'a copy by template answers');
is($new->safe_psql('copy', $stats), $new->safe_psql('restored', $stats), 'and is the same');
$new->stop;
done_testing();
