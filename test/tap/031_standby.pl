# A streaming standby gives the primary's top-10, also while rows are inserted and vacuumed, and can
# take over.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbTest;

my $primary = new_node('primary',
	allows_streaming => 1,
	conf => "wal_consistency_checking = 'generic'\nautovacuum = off\nmax_wal_size = 2GB\n");
define_helpers($primary);
$primary->safe_psql('postgres', q{
	CREATE TABLE before_backup (id int, v vector(16));
	INSERT INTO before_backup SELECT i, vt.row(i, 16) FROM generate_series(1, 3000) i;
	CREATE INDEX before_v ON before_backup USING vdb (v)});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nmax_standby_streaming_delay = -1\n");
$standby->start;

load_gloss($primary, 12000);
load_queries($primary);
$primary->safe_psql('postgres', q{
	CREATE INDEX gloss_l2 ON gloss USING vdb (embedding);
	CREATE TABLE empty (id int, v vector(16));
	CREATE INDEX empty_v ON empty USING vdb (v);
	CREATE UNLOGGED TABLE fleeting (id int, v vector(16));
	CREATE INDEX fleeting_v ON fleeting USING vdb (v);
	INSERT INTO fleeting SELECT i, vt.row(i, 16) FROM generate_series(1, 100) i});

# The ten nearest of many queries, in order.
my $top10 = q{
	SET enable_seqscan = off; SET enable_sort = off;
	SELECT md5(string_agg(q.id || ':' || n.id || ':' || n.d, ' ' ORDER BY q.id, n.d, n.id))
	FROM (SELECT * FROM held_out WHERE id < 100) q, LATERAL (
	  SELECT id, embedding <-> q.embedding AS d FROM gloss ORDER BY embedding <-> q.embedding LIMIT 10) n};

sub same_on_both
{
	my ($name, $query) = @_;
	$query //= $top10;
	$primary->wait_for_catchup($standby);
	my $answer = $primary->safe_psql('postgres', $query);
	is($standby->safe_psql('postgres', $query), $answer, $name);
	return;
}

same_on_both('after a build');
$primary->safe_psql('postgres', 'UPDATE gloss SET embedding = embedding WHERE id % 7 = 0');
same_on_both('after updates');
$primary->safe_psql('postgres', 'DELETE FROM gloss WHERE id % 5 = 0');
same_on_both('after deletes');
$primary->safe_psql('postgres', 'VACUUM gloss');
same_on_both('after vacuum');
$primary->safe_psql('postgres', q{
	INSERT INTO gloss SELECT id + 100000, gloss, (embedding * array_fill(0.999::real, ARRAY[512])::vector)
	FROM gloss WHERE id % 5 = 1});
same_on_both('after inserts on their places');
$primary->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY gloss_l2');
same_on_both('after a rebuild');
$primary->safe_psql('postgres', q{INSERT INTO empty SELECT i, vt.row(i, 16) FROM generate_series(1, 500) i});
same_on_both('an index that was empty', q{
	SET enable_seqscan = off;
	SELECT string_agg(id::text, ' ') FROM (SELECT id FROM empty ORDER BY v <-> vt.row(-1, 16) LIMIT 10) s});
same_on_both('an index older than the standby', q{
	SET enable_seqscan = off;
	SELECT string_agg(id::text, ' ') FROM (SELECT id FROM before_backup ORDER BY v <-> vt.row(-1, 16) LIMIT 10) s});
is($standby->safe_psql('postgres', q{SELECT dead FROM vdb.check('gloss_l2', true)}),
	$primary->safe_psql('postgres', q{SELECT dead FROM vdb.check('gloss_l2', true)}),
	'the standby has every byte');

# While the primary inserts, deletes and vacuums, each search on the standby sees one state: groups of
# ten equal vectors, which a transaction replaces as a whole, whatever places the rows take.
$primary->safe_psql('postgres', q{
	CREATE TABLE moving (id int, v vector(16));
	INSERT INTO moving SELECT i, vt.row(i % 300, 16) FROM generate_series(1, 3000) i;
	CREATE INDEX moving_v ON moving USING vdb (v)});
$primary->wait_for_catchup($standby);
my $writer = start_sql($primary, q{
	DO $$ BEGIN
	  FOR round IN 1 .. 150 LOOP
	    DELETE FROM moving WHERE id % 300 IN (SELECT (round * 7 + j) % 300 FROM generate_series(0, 20) j);
	    INSERT INTO moving SELECT i, vt.row(i % 300, 16) FROM generate_series(1, 3000) i
	      WHERE i % 300 IN (SELECT (round * 7 + j) % 300 FROM generate_series(0, 20) j);
	    COMMIT;
	  END LOOP;
	END $$});
my $vacuum = start_sql($primary, join("\n", ('VACUUM (INDEX_CLEANUP ON) moving; SELECT pg_sleep(0.05);') x 30));
my ($checked, $wrong) = (0, '');
do
{
	my $answer = $standby->safe_psql('postgres', q{
		SET enable_seqscan = off; SET enable_sort = off; SET jit = off;
		SET vdb.iterative_scan = relaxed_order;
		SELECT string_agg(g || ':' || n || '/' || rows, ' ') FROM (
		  SELECT id % 300 AS g, count(*) AS n, count(DISTINCT id) AS rows, count(DISTINCT v) AS vectors
		  FROM (SELECT id, v FROM moving ORDER BY v <-> vt.row(1, 16) OFFSET 0) s GROUP BY 1) t
		WHERE n <> 10 OR rows <> 10 OR vectors <> 1});
	$wrong .= "$answer; " if $answer ne '';
	$checked++;
} while ($writer->{run}->pumpable && $checked < 400);
my (undef, $error) = finish_sql($writer);
is($error, '', 'the writer went on');
(undef, $error) = finish_sql($vacuum);
is($error, '', 'vacuum went on');
cmp_ok($checked, '>', 3, 'searches ran meanwhile');
is($wrong, '', 'each search on the standby saw one state');
same_on_both('at the end', q{
	SET enable_seqscan = off; SET vdb.iterative_scan = relaxed_order;
	SELECT count(*) || ' ' || count(DISTINCT id) FROM (SELECT id FROM moving ORDER BY v <-> vt.row(-1, 16) OFFSET 0) s});

# A standby changes nothing, and without conflicts a search there is not disturbed by vacuum.
my ($code, $out, $err) = $standby->psql('postgres', 'INSERT INTO empty VALUES (0, vt.row(0, 16))');
like($err, qr/read-only transaction/, 'no INSERT on a standby');
($code, $out, $err) = $standby->psql('postgres', 'REINDEX INDEX empty_v');
like($err, qr/recovery/, 'no REINDEX on a standby');

$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', q{
	INSERT INTO moving SELECT 10000 + i, vt.row(5000 + i, 16) FROM generate_series(1, 100) i;
	VACUUM moving;
	CREATE INDEX after_v ON moving USING vdb (v vector_ip_ops)});
index_is_whole($standby, 'moving', 'moving_v', 'v', 'vt.row(-1, 16)', 'after promotion');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM fleeting'), '0', 'the unlogged table is empty');
$standby->safe_psql('postgres', 'INSERT INTO fleeting SELECT i, vt.row(i, 16) FROM generate_series(1, 100) i');
index_is_whole($standby, 'fleeting', 'fleeting_v', 'v', 'vt.row(-1, 16)', 'unlogged after promotion');
unlike(slurp_file($standby->logfile), qr/PANIC|inconsistent page/, 'replay matched the primary');
$standby->stop;
done_testing();
