# kill -9 of a backend and of the whole server during build, insert, vacuum and search: a restart
# needs nothing, the index is whole, and an aborted build leaves nothing.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbTest;

my $node = new_node('crash',
	conf => "restart_after_crash = on\nmax_prepared_transactions = 4\nautovacuum = off\nwal_consistency_checking = 'generic'\n"
	  . "max_wal_size = 2GB\n");
define_helpers($node);
$node->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(32));
	INSERT INTO item SELECT i, vt.row(i, 32) FROM generate_series(1, 20000) i;
	CREATE INDEX item_v ON item USING vdb (v);
	INSERT INTO item SELECT i, vt.row(i, 32) FROM generate_series(20001, 20500) i;
	CREATE TABLE other (id int, v vector(32));
	INSERT INTO other SELECT i, vt.row(i, 32) FROM generate_series(1, 5000) i;
	CREATE UNLOGGED TABLE fleeting (id int, v vector(32));
	INSERT INTO fleeting SELECT i, vt.row(i, 32) FROM generate_series(1, 5000) i;
	CREATE INDEX fleeting_v ON fleeting USING vdb (v)});
my $query = 'vt.row(-1, 32)';

# What is left of builds in the catalog. (Files of a crashed transaction PostgreSQL does not collect.)
sub indexes_of
{
	my ($table) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY 1) FROM pg_index"
		  . " WHERE indrelid = '$table'::regclass");
}

sub strike
{
	my ($how, $pid) = @_;
	if ($how eq 'backend') { kill_backend($node, $pid); }
	else { kill_server($node); }
	return;
}

foreach my $how ('backend', 'server')
{
	# Build, in each of its phases.
	foreach my $phase ('sampling', 'training', 'encoding', 'sorting', 'writing')
	{
		my $pid;
		foreach my $try (1 .. 5)
		{
			my $build = start_sql($node,
				'SET max_parallel_maintenance_workers = 0; CREATE INDEX doomed ON item USING vdb (v) WITH (lists = 800)');
			# Polls faster than any phase passes; stops the backend where it is.
			$pid = $node->safe_psql('postgres', qq{
				CREATE OR REPLACE FUNCTION vt.catch(wanted text) RETURNS int LANGUAGE plpgsql AS \$\$
				DECLARE p record; seen boolean := false;
				BEGIN
				  FOR i IN 1 .. 500000 LOOP
				    PERFORM pg_stat_clear_snapshot();
				    SELECT pid, phase INTO p FROM pg_stat_progress_create_index;
				    IF p.phase LIKE '%' || wanted || '%' THEN
				      EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat > /dev/null; kill -STOP ' || p.pid);
				      RETURN p.pid;
				    END IF;
				    IF seen AND p IS NULL THEN RETURN 0; END IF;
				    seen := seen OR p.pid IS NOT NULL;
				  END LOOP;
				  RETURN 0;
				END \$\$;
				SELECT vt.catch('$phase')});
			last if $pid;
			finish_sql($build);
			$node->safe_psql('postgres', 'DROP INDEX IF EXISTS doomed');
		}
		ok($pid, "build, $how: caught while $phase") or next;
		strike($how, $pid);
		is(indexes_of('item'), 'item_v true', "build, $how, $phase: leaves no index");
	}
	index_is_whole($node, 'item', 'item_v', 'v', $query, "build, $how");
	$node->safe_psql('postgres', 'CREATE INDEX again ON item USING vdb (v); DROP INDEX again');

	# Insert: one session commits row by row, another is in a transaction that never ends.
	my $committing = start_sql($node, q{
		DO $$ BEGIN
		  FOR i IN 100001 .. 200000 LOOP
		    INSERT INTO item VALUES (i, vt.row(i, 32));
		    IF i % 10 = 0 THEN COMMIT; END IF;
		  END LOOP;
		END $$});
	my $open = start_sql($node, q{
		BEGIN;
		INSERT INTO item SELECT i, vt.row(i, 32) FROM generate_series(300001, 301000) i;
		SELECT pg_sleep(600)});
	wait_until($node, 'SELECT count(*) > 300 FROM item WHERE id > 100000');
	wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
	my $pid = $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE query ~ 'FOR i IN 100001' AND pid <> pg_backend_pid()});
	strike($how, $pid);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM item WHERE id > 300000'), '0',
		"insert, $how: what was not committed is gone");
	index_is_whole($node, 'item', 'item_v', 'v', $query, "insert, $how");
	$node->safe_psql('postgres', 'VACUUM item');
	index_is_whole($node, 'item', 'item_v', 'v', $query, "insert, $how, vacuumed");

	# Vacuum, in the middle of the index.
	$node->safe_psql('postgres', 'DELETE FROM item WHERE id % 4 = 1');
	my $vacuum = start_sql($node,
		'SET vacuum_cost_delay = 50; SET vacuum_cost_limit = 20; SET vacuum_cost_page_hit = 10; VACUUM item');
	wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_progress_vacuum WHERE phase = 'vacuuming indexes'});
	# Some pages of it are done.
	wait_until($node, q{SELECT tombstones > 0 FROM vdb.stat_index WHERE indexname = 'item_v'});
	$pid = $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_progress_vacuum WHERE phase = 'vacuuming indexes'});
	ok($pid, "vacuum, $how: caught in the middle");
	strike($how, $pid) if $pid;
	index_is_whole($node, 'item', 'item_v', 'v', $query, "vacuum, $how");
	$node->safe_psql('postgres', 'VACUUM item');
	index_is_whole($node, 'item', 'item_v', 'v', $query, "vacuum, $how, done again");
	$node->safe_psql('postgres',
		'INSERT INTO item SELECT i, vt.row(i, 32) FROM generate_series(1, 20000, 4) i');
	index_is_whole($node, 'item', 'item_v', 'v', $query, "vacuum, $how, places taken");

	# Search, stopped between two rows.
	$node->safe_psql('postgres',
		'CREATE INDEX other_held ON other USING vdb ((vt.hold(v, vt.row(77, 32))::vector(32)))');
	my $lock = start_sql($node, 'SELECT pg_advisory_lock(42); SELECT pg_sleep(600)');
	wait_until($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted});
	my $search = start_sql($node, q{
		SET enable_seqscan = off;
		SELECT id FROM other ORDER BY vt.hold(v, vt.row(77, 32))::vector(32) <-> vt.row(77, 32) LIMIT 5});
	wait_until($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	$pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	strike($how, $pid);
	index_is_whole($node, 'other', 'other_held', 'vt.hold(v, vt.row(77, 32))::vector(32)',
		$query, "search, $how");
	is($node->safe_psql('postgres', 'SELECT pinned FROM vdb.stat_cache'), '0', "search, $how: no pin is left");
	$node->safe_psql('postgres', 'DROP INDEX other_held');

	# An unlogged table is empty after a crash, and its index an empty index.
	is($node->safe_psql('postgres', 'SELECT count(*) FROM fleeting'), '0', "unlogged, $how: empty");
	$node->safe_psql('postgres', q{
		INSERT INTO fleeting SELECT i, vt.row(i, 32) FROM generate_series(1, 3000) i});
	index_is_whole($node, 'fleeting', 'fleeting_v', 'v', $query, "unlogged, $how, filled again");
	$node->safe_psql('postgres', 'REINDEX INDEX fleeting_v');
}

# Prepared transactions: one that inserts, one that builds; both outlive a crash.
$node->safe_psql('postgres', q{
	CREATE TABLE prepared (id int, v vector(32));
	CREATE INDEX prepared_v ON prepared USING vdb (v);
	BEGIN;
	INSERT INTO prepared SELECT i, vt.row(i, 32) FROM generate_series(1, 300) i;
	PREPARE TRANSACTION 'inserts';
	BEGIN;
	INSERT INTO prepared SELECT i, vt.row(i, 32) FROM generate_series(301, 400) i;
	PREPARE TRANSACTION 'vain';
	BEGIN;
	CREATE INDEX prepared_index ON other USING vdb (v);
	PREPARE TRANSACTION 'builds'});
kill_server($node);
is(index_rows($node, 'v', $query, 'prepared'), '0 0', 'prepared: nothing to see yet');
$node->safe_psql('postgres', q{COMMIT PREPARED 'inserts'});
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'vain'});
$node->safe_psql('postgres', q{COMMIT PREPARED 'builds'});
index_is_whole($node, 'prepared', 'prepared_v', 'v', $query, 'prepared inserts');
index_is_whole($node, 'other', 'prepared_index', 'v', $query, 'prepared build');
$node->safe_psql('postgres', 'VACUUM prepared');
is($node->safe_psql('postgres', q{SELECT delta_rows FROM vdb.check('prepared_v', true)}), '300', 'prepared: vacuumed');
$node->safe_psql('postgres', 'DROP INDEX prepared_index');

# A crash right after the commit of a build, before any checkpoint: the index comes from the log.
$node->safe_psql('postgres', 'CREATE INDEX other_v ON other USING vdb (v)');
kill_server($node);
index_is_whole($node, 'other', 'other_v', 'v', $query, 'after a build');
unlike(slurp_file($node->logfile), qr/PANIC|inconsistent page|TRAP/, 'nothing worse in the log');
$node->stop;
done_testing();
