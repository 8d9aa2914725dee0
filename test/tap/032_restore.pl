# Base backup taken under load, and recovery to a point in time: restored indexes answer.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbTest;

my $node = new_node('live', has_archiving => 1, allows_streaming => 1, conf => "autovacuum = off\n");
define_helpers($node);
$node->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 5000) i;
	CREATE INDEX item_v ON item USING vdb (v)});
my $writer = start_sql($node, q{
	DO $$ BEGIN
	  FOR i IN 1 .. 100000 LOOP
	    INSERT INTO item VALUES (100000 + i, vt.row(100000 + i, 16));
	    DELETE FROM item WHERE id = i;
	    COMMIT;
	    EXIT WHEN EXISTS (SELECT FROM pg_class WHERE relname = 'enough');
	  END LOOP;
	END $$});
wait_until($node, 'SELECT count(*) > 50 FROM item WHERE id > 100000');
$node->backup('base');
$node->safe_psql('postgres', 'CREATE TABLE enough ()');
my (undef, $error) = finish_sql($writer);
is($error, '', 'the writer went on during the backup');

# Three points: after writes and vacuum, after another build, after the index is gone.
my %expected;
my $state = q{
	SET enable_seqscan = off; SET vdb.iterative_scan = relaxed_order;
	SELECT md5(string_agg(id::text, ' ' ORDER BY id)) FROM (SELECT id FROM item ORDER BY v <-> vt.row(-1, 16) OFFSET 0) s};
sub mark
{
	my ($point, $index) = @_;
	$expected{$point} = [ $node->safe_psql('postgres', $state), $index ];
	$node->safe_psql('postgres', "SELECT pg_create_restore_point('$point')");
	return;
}
$node->safe_psql('postgres', 'DELETE FROM item WHERE id % 3 = 0');
$node->safe_psql('postgres', 'VACUUM item');
$node->safe_psql('postgres', 'INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(200001, 201000) i');
mark('vacuumed', 'item_v');
$node->safe_psql('postgres', q{
	CREATE INDEX item_v2 ON item USING vdb (v) WITH (code_bits = 8);
	DROP INDEX item_v;
	DELETE FROM item WHERE id % 5 = 0});
mark('rebuilt', 'item_v2');
$node->safe_psql('postgres', 'DROP TABLE item');
my $last = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
wait_until($node, "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver");

foreach my $point ('vacuumed', 'rebuilt')
{
	my $restored = PostgreSQL::Test::Cluster->new("restored_$point");
	$restored->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
	$restored->append_conf('postgresql.conf',
		"recovery_target_name = '$point'\nrecovery_target_action = 'promote'\narchive_mode = off\n");
	$restored->start;
	$restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'not recovered';
	my ($answer, $index) = @{ $expected{$point} };
	is($restored->safe_psql('postgres', $state), $answer, "$point: the rows of that time");
	index_is_whole($restored, 'item', $index, 'v', 'vt.row(-1, 16)', $point);
	$restored->safe_psql('postgres', 'INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(300001, 300100) i; VACUUM item');
	index_is_whole($restored, 'item', $index, 'v', 'vt.row(-1, 16)', "$point, written to");
	$restored->stop;
}
$node->stop;

# Dump and restore build the index again.
my $source = new_node('source');
define_helpers($source);
$source->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(16), h halfvec(16));
	INSERT INTO item SELECT i, vt.row(i, 16), vt.row(i, 16) FROM generate_series(1, 2500) i;
	CREATE INDEX item_v ON item USING vdb (v vector_cosine_ops) WITH (lists = 9, code_bits = 3, encrypt_at_rest = off);
	CREATE INDEX item_h ON item USING vdb (h) WHERE id > 10});
my $dump = "$ENV{TESTDIR}/dump.sql";
$source->command_ok([ 'pg_dump', '-f', $dump, '-t', 'item', $source->connstr('postgres') ], 'pg_dump');
$source->safe_psql('postgres', 'DROP TABLE item');
$source->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $source->connstr('postgres') ], 'restored');
is($source->safe_psql('postgres',
		q{SELECT string_agg(concat_ws(' ', indexname, metric, lists, code_bits, encrypted, rows), ', ' ORDER BY indexname) FROM vdb.stat_index}),
	'item_h l2 ' . $source->safe_psql('postgres', q{SELECT lists FROM vdb.stat_index WHERE indexname = 'item_h'}) . ' 5 t 2490, item_v cosine 9 3 f 2500',
	'indexes are as they were declared');

# A database made from another has copies of its pages; from then on they differ.
$source->safe_psql('postgres', 'CREATE TABLE before_copy AS SELECT 1');
foreach my $strategy ('wal_log', 'file_copy')
{
	$source->safe_psql('template1', "CREATE DATABASE copy_$strategy TEMPLATE postgres STRATEGY $strategy");
	my $ask = q{
		SET enable_seqscan = off; SET vdb.iterative_scan = relaxed_order;
		SELECT md5(string_agg(id::text, ' ' ORDER BY id)) FROM (SELECT id FROM item ORDER BY v <=> vt.row(-1, 16) OFFSET 0) s};
	is($source->safe_psql("copy_$strategy", $ask), $source->safe_psql('postgres', $ask), "copy by $strategy: the same rows");
	$source->safe_psql("copy_$strategy", q{
		DELETE FROM item WHERE id % 2 = 0; VACUUM item;
		INSERT INTO item SELECT i, vt.row(i, 16), vt.row(i, 16) FROM generate_series(3001, 3100) i});
	is($source->safe_psql("copy_$strategy", "SELECT rows - dead + delta_rows FROM vdb.check('item_v', true)"),
		'1350', "copy by $strategy: sound after changes");
	is($source->safe_psql('postgres', "SELECT rows - dead + delta_rows FROM vdb.check('item_v', true)"),
		'2500', "copy by $strategy: the original is as it was");
}

# Into another tablespace and back.
$source->safe_psql('postgres', "SET allow_in_place_tablespaces = on; CREATE TABLESPACE elsewhere LOCATION ''");
$source->safe_psql('postgres', 'ALTER INDEX item_v SET TABLESPACE elsewhere; ALTER TABLE item SET TABLESPACE elsewhere');
is($source->safe_psql('postgres', "SELECT rows - dead + delta_rows FROM vdb.check('item_v', true)"), '2500', 'moved');
$source->safe_psql('postgres', 'ALTER INDEX item_v SET TABLESPACE pg_default');
is($source->safe_psql('postgres', q{
		SET enable_seqscan = off; SELECT count(*) FROM (SELECT id FROM item ORDER BY v <=> vt.row(7, 16) LIMIT 5) s}),
	'5', 'moved back');
$source->stop;
done_testing();
