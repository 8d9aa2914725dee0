# Cancel, statement_timeout and SIGTERM end builds and searches soon, and leave nothing behind.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use VdbIndex;
use VdbTest;

# PostgreSQL itself takes a timeout for a user's request, once in some thousand times on a busy machine.
my $timeout = qr/canceling statement due to (statement timeout|user request)/;

my $node = new_node('cancel', conf => "autovacuum = off\nmax_parallel_maintenance_workers = 0\n");
define_helpers($node);
# Also rows that each take long: 16,000 dimensions.
$node->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(256));
	INSERT INTO item SELECT i, vt.row(i % 500, 256) FROM generate_series(1, 500) i;
	INSERT INTO item SELECT a.id * 80 + b, a.v * array_fill((1 + b * 0.001)::real, ARRAY[256])::vector
	FROM item a, generate_series(1, 80) b;
	CREATE TABLE wide (id int, v vector(16000));
	ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
	INSERT INTO wide SELECT i, (vt.row(i, 40)::real[] || array_fill(0.5::real, ARRAY[15960]))::vector
	FROM generate_series(1, 2500) i});

# Relation files that belong to no relation, those that wait for a checkpoint left out.
sub stray_files
{
	$node->safe_psql('postgres', 'CHECKPOINT');
	return $node->safe_psql('postgres', q{
		SELECT string_agg(file, ' ') FROM pg_database d, pg_ls_dir('base/' || d.oid) file
		WHERE datname = current_database() AND file ~ '^\d+'
		  AND pg_filenode_relation(0, substring(file FROM '^\d+')::oid) IS NULL});
}

# Runs `sql`, waits until `state` holds, strikes; returns the seconds until it had ended, and its
# error.
sub strike_at
{
	my ($sql, $state, $function) = @_;
	my $session = start_sql($node, $sql);
	my $struck = $node->safe_psql('postgres', qq{
		DO \$\$
		DECLARE victim int; seen boolean := false;
		BEGIN
		  FOR i IN 1 .. 2000000 LOOP
		    PERFORM pg_stat_clear_snapshot();
		    $state
		    IF victim IS NOT NULL THEN
		      PERFORM $function(victim);
		      RETURN;
		    END IF;
		  END LOOP;
		  IF NOT seen THEN RAISE 'never in that state'; END IF;
		END \$\$;
		SELECT 'struck'});
	my $start = time;
	my (undef, $error) = finish_sql($session);
	return (time - $start, $error);
}

# The limits: a second for a build, 0.1 s for a search. On a machine that does other things as well a
# test can only ask for some multiple; a build or search that does not listen takes far longer.
my $build_limit = 5;
my $search_limit = 1;

foreach my $table ('item', 'wide')
{
	foreach my $phase ('sampling', 'training', 'encoding', 'writing')
	{
		foreach my $function ($phase eq 'encoding' ? ('pg_cancel_backend', 'pg_terminate_backend') : ('pg_cancel_backend'))
		{
			my ($seconds, $error) = strike_at(
				"CREATE INDEX doomed ON $table USING vdb (v) WITH (lists = 300)",
				"SELECT pid INTO victim FROM pg_stat_progress_create_index WHERE phase LIKE '%$phase%';",
				$function);
			like($error, $function eq 'pg_cancel_backend' ? qr/canceling statement due to user request/ : qr/terminating connection/,
				"$table, $function while $phase");
			cmp_ok($seconds, '<', $build_limit, "$table, $function while $phase: ends soon");
		}
	}
}
# Sorting is over soon: a build that got past it unseen is tried again.
foreach my $try (1 .. 5)
{
	my ($seconds, $error) = strike_at('CREATE INDEX doomed ON item USING vdb (v) WITH (lists = 300)', q{
		SELECT pid INTO victim FROM pg_stat_progress_create_index WHERE phase LIKE '%sorting%';
		EXIT WHEN victim IS NULL AND seen AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index);
		seen := seen OR EXISTS (SELECT FROM pg_stat_progress_create_index);}, 'pg_cancel_backend');
	if ($error eq '' && $try < 5)
	{
		$node->safe_psql('postgres', 'DROP INDEX doomed');
		next;
	}
	like($error, qr/canceling statement due to user request/, 'item, pg_cancel_backend while sorting');
	cmp_ok($seconds, '<', $build_limit, 'item, pg_cancel_backend while sorting: ends soon');
	last;
}
is(stray_files(), '', 'stopped builds leave no file');

# Long parts between two looks at the table serve what other sessions wait for: DROP DATABASE wants an
# answer of every backend.
$node->safe_psql('postgres', 'CREATE DATABASE dropped');
my $training = start_sql($node, q{SET maintenance_work_mem = '256MB';
	CREATE INDEX doomed ON item USING vdb (v) WITH (lists = 30000)});
my $phase = 'SELECT phase FROM pg_stat_progress_create_index';
wait_until($node, "SELECT ($phase) LIKE '%training%'");
usleep(1_000_000);    # past the rotation of the sample, which looks at interrupts row by row
$node->safe_psql('postgres', 'DROP DATABASE dropped');
like($node->safe_psql('postgres', $phase), qr/training/, 'DROP DATABASE does not wait for the end of k-means');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index');
finish_sql($training);

foreach my $ms (5, 20, 80, 200, 400)
{
	my $start = time;
	my ($code, $out, $err) = $node->psql('postgres',
		"SET statement_timeout = $ms; CREATE INDEX doomed ON item USING vdb (v) WITH (lists = 4000)");
	like($err, $timeout, "build with a timeout of $ms ms");
	cmp_ok(time - $start, '<', $build_limit + $ms / 1000, 'ends soon');
}
is(stray_files(), '', 'nor do those whose time is over');
$node->safe_psql('postgres', 'CREATE INDEX item_v ON item USING vdb (v) WITH (lists = 2000)');
index_is_whole($node, 'item', 'item_v', 'v', 'vt.row(-1, 256)', 'built afterwards');

# A build with parallel workers: cancelling the leader ends them too.
my ($seconds, $error) = strike_at(
	q{ALTER TABLE item SET (parallel_workers = 2); SET max_parallel_maintenance_workers = 2;
	  CREATE INDEX doomed ON item USING vdb (v vector_ip_ops) WITH (lists = 500)},
	q{SELECT leader_pid INTO victim FROM pg_stat_activity WHERE backend_type = 'parallel worker';},
	'pg_cancel_backend');
like($error, qr/canceling statement/, 'parallel build cancelled');
cmp_ok($seconds, '<', $build_limit, 'ends soon');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'}),
	'0', 'no worker is left');
# A worker that is terminated fails the build, no more.
($seconds, $error) = strike_at(
	'SET max_parallel_maintenance_workers = 2; CREATE INDEX doomed ON item USING vdb (v vector_ip_ops) WITH (lists = 500)',
	q{SELECT pid INTO victim FROM pg_stat_activity WHERE backend_type = 'parallel worker';},
	'pg_terminate_backend');
like($error, qr/terminating|lost connection/, 'parallel worker terminated');

# CONCURRENTLY leaves an INVALID index, which disturbs nobody and can be dropped.
($seconds, $error) = strike_at(
	'CREATE INDEX CONCURRENTLY doomed ON item USING vdb (v vector_l1_ops) WITH (lists = 300)',
	q{SELECT pid INTO victim FROM pg_stat_progress_create_index WHERE phase LIKE '%encoding%';},
	'pg_cancel_backend');
like($error, qr/canceling statement/, 'CONCURRENTLY cancelled');
is($node->safe_psql('postgres', q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'doomed'::regclass}),
	'f', 'an invalid index is left');
$node->safe_psql('postgres', q{
	INSERT INTO item SELECT 100000 + i, vt.row(100000 + i, 256) FROM generate_series(1, 50) i;
	DELETE FROM item WHERE id % 10 = 1;
	VACUUM item;
	ANALYZE item;
	SELECT id FROM item ORDER BY v <+> vt.row(3, 256) LIMIT 1});
index_is_whole($node, 'item', 'item_v', 'v', 'vt.row(-1, 256)', 'beside an invalid index');
$node->safe_psql('postgres', 'DROP INDEX doomed; SELECT * FROM vdb.stat_index');

# Searches: with a cold cache and a warm one, to the last row, and with a filter that nothing meets.
my %searches = (
	'all rows' => 'SELECT count(*) FROM (SELECT id FROM item ORDER BY v <-> vt.row(%d, 256) OFFSET 0) s',
	'a filter' => 'SELECT id FROM item WHERE id < 0 ORDER BY v <-> vt.row(%d, 256) LIMIT 10',
	'many' => 'SELECT count(*) FROM generate_series(1, 100000) q, LATERAL (SELECT id FROM item ORDER BY v <-> vt.row(q + %d, 256) LIMIT 10) n');
foreach my $name (sort keys %searches)
{
	my $repeated = join ";\n", map { sprintf $searches{$name}, $_ } 1 .. 2000;
	foreach my $function ('pg_cancel_backend', 'pg_terminate_backend')
	{
		($seconds, $error) = strike_at(
			"SET enable_seqscan = off; SET enable_sort = off; SET jit = off; SET application_name = 'victim';\n$repeated",
			q{SELECT pid INTO victim FROM pg_stat_activity WHERE application_name = 'victim'
			  AND state = 'active' AND query LIKE 'SELECT%FROM item%' AND clock_timestamp() > query_start + interval '1 ms';},
			$function);
		like($error, $function eq 'pg_cancel_backend' ? qr/canceling statement/ : qr/terminating connection/,
			"search of $name: $function");
		cmp_ok($seconds, '<', $search_limit, "search of $name: $function: ends soon");
	}
}
foreach my $name (sort keys %searches)
{
	foreach my $ms (1, 2, 5, 10)
	{
		my $begun = time;
		my ($code, $out, $err) = $node->psql('postgres',
			"SET enable_seqscan = off; SET enable_sort = off; SET jit = off; SET statement_timeout = $ms; " . sprintf($searches{$name}, 1));
		like($err, $timeout, "search of $name with a timeout of $ms ms");
		cmp_ok(time - $begun, '<', $search_limit + $ms / 1000, "search of $name with a timeout of $ms ms: ends soon");
	}
}
is($node->safe_psql('postgres', 'SELECT pinned FROM vdb.stat_cache'), '0', 'no pin is left');
$node->safe_psql('postgres',
	'SET statement_timeout = 0; SET enable_seqscan = off; SELECT id FROM item ORDER BY v <-> vt.row(1, 256) LIMIT 10');
index_is_whole($node, 'item', 'item_v', 'v', 'vt.row(-1, 256)', 'at the end');
unlike(slurp_file($node->logfile), qr/PANIC|server process .* was terminated by signal|leak|TRAP/, 'a clean log');
$node->stop;
done_testing();
