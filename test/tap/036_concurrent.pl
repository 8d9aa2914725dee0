# Sessions that insert, update, delete, vacuum, search and rebuild at once, for some seconds.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbTest;

my $node = new_node('concurrent', conf => "autovacuum = off\nmax_connections = 40\n");
define_helpers($node);
# Groups of ten rows with the same vector, which a transaction replaces as a whole: a search for all
# rows, which misses none in relaxed order, must see ten of each.
$node->safe_psql('postgres', q{
	CREATE TABLE item (id serial, place int, v vector(16));
	INSERT INTO item (place, v) SELECT i % 300, vt.row(i % 300, 16) FROM generate_series(1, 3000) i;
	CREATE INDEX item_v ON item USING vdb (v);
	CREATE TABLE grown (id serial, v vector(16));
	CREATE INDEX grown_v ON grown USING vdb (v)});
my $seconds = 8;
my $loop = q{
	DO $$
	DECLARE turn int := 0;
	BEGIN
	  WHILE clock_timestamp() < '%s' LOOP
	    turn := turn + 1;
	    %s
	    COMMIT;
	  END LOOP;
	END $$};
my $end = $node->safe_psql('postgres', "SELECT clock_timestamp() + interval '$seconds s'");
my @sessions;
# Each writer has groups of its own.
foreach my $writer (0 .. 2)
{
	push @sessions, start_sql($node, sprintf $loop, $end, qq{
		DELETE FROM item WHERE place = (turn * 3 + $writer) % 300;
		INSERT INTO item (place, v) SELECT (turn * 3 + $writer) % 300, vt.row((turn * 3 + $writer) % 300, 16)
		  FROM generate_series(1, 10);
		IF turn % 5 = 0 THEN ROLLBACK; END IF;
		UPDATE item SET place = place WHERE place = (turn * 3 + $writer + 30) % 300;
		INSERT INTO grown (v) SELECT vt.row(turn * 100 + i, 16) FROM generate_series(1, 20) i;});
}
foreach my $searcher (0 .. 1)
{
	push @sessions, start_sql($node, 'SET enable_seqscan = off; SET enable_sort = off; SET jit = off;'
		  . 'SET vdb.iterative_scan = relaxed_order;' . sprintf $loop, $end, qq{
		DECLARE answer text;
		BEGIN
		  SELECT string_agg(place || ':' || n || '/' || zero, ' ') INTO answer FROM (
		    SELECT place, count(*) AS n, count(DISTINCT c) AS rows, count(*) FILTER (WHERE v <-> vt.row(place, 16) < 1e-6) AS zero
		    FROM (SELECT ctid AS c, place, v FROM item ORDER BY v <-> vt.row(turn * 7 + $searcher, 16) OFFSET 0) s GROUP BY place) g
		  WHERE n <> 10 OR rows <> 10 OR zero <> 10;
		  IF answer <> '' THEN RAISE 'turn %: %', turn, answer; END IF;
		END;});
}
my @maintenance = (
	start_sql($node, join "\n", map { 'VACUUM (INDEX_CLEANUP ON) item; VACUUM (INDEX_CLEANUP ON) grown; SELECT pg_sleep(0.1);' } 1 .. $seconds * 6),
	start_sql($node, join "\n", map { 'REINDEX INDEX CONCURRENTLY item_v; SELECT pg_sleep(0.3);' } 1 .. $seconds),
	start_sql($node, join "\n", map { 'SELECT count(*) FROM vdb.stat_index; SELECT pg_sleep(0.2);' } 1 .. $seconds * 3));
foreach my $session (@sessions)
{
	my ($out, $err) = finish_sql($session);
	is($err, '', 'a session went on to its end');
}
foreach my $session (@maintenance)
{
	my ($out, $err) = finish_sql($session);
	is($err, '', 'maintenance went on');
}
$node->safe_psql('postgres', 'VACUUM item');
index_is_whole($node, 'item', 'item_v', 'v', 'vt.row(-1, 16)', 'replaced rows');
index_is_whole($node, 'grown', 'grown_v', 'v', 'vt.row(-1, 16)', 'a table that grew');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT place) FROM item}), '3000|300', 'groups are whole');
is($node->safe_psql('postgres', 'SELECT pinned FROM vdb.stat_cache'), '0', 'no pin is left');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|deadlock|leak|TRAP/, 'a clean log');
$node->stop;
done_testing();
