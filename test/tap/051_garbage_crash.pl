# kill -9 of a backend and of the whole server at each step of a build in a store and of a
# collection: after a restart and vdb.gc() the store has what indexes use, and nothing else.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;
use VdbGarbage;
use VdbIndex;
use VdbTest;

my $node = new_node('garbage_crash',
	conf => "restart_after_crash = on\nautovacuum = off\nvdb.gc_retention = 0\nmax_prepared_transactions = 2\nfsync = on\n");
define_helpers($node);
my $path = new_store('store');
$node->safe_psql('postgres', qq{
	CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path');
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 5000) i});
my $index = 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = archive, chunk_size = 1000)';
my $waiting = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'vdb_ext worker' AND wait_event_type = 'Lock'";

sub pid_of
{
	my ($like) = @_;
	return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE query LIKE '$like' AND pid <> pg_backend_pid()");
}

sub strike
{
	my ($how, $like) = @_;
	my $pid = pid_of($like);
	if ($how eq 'backend') { kill_backend($node, $pid); }
	elsif ($how eq 'worker') { kill_backend($node, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'vdb_ext worker'")); }
	else { kill_server($node); }
	return;
}

# After a crash: what is left, how much of it is in the ledger, and that one collection ends it.
sub recovers
{
	my ($name, $left) = @_;
	my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object');
	cmp_ok($rows, '>=', scalar objects($path), "$name: nothing is in the store that is not in the ledger");
	is(objects($path) > 0 ? 1 : 0, $left, "$name: " . ($left ? 'objects are left' : 'no object is there'));
	my $removed = gc_actions($node);
	is($removed, $rows > 0 ? "removed $rows" : '', "$name: collected");
	is_clean($node, $path, $name);
	return;
}

# Stops the worker between two objects, when a few have been sent, and returns the sessions.
sub stop_between_objects
{
	my $build = start_sql($node, $index);
	for (1 .. 6000)
	{
		last if objects($path) >= 2;
		Time::HiRes::usleep(1000);
	}
	my $held = hold_ledger($node);
	$node->poll_query_until('postgres', $waiting) or die 'the build did not wait';
	return ($build, $held);
}

foreach my $how ('backend', 'worker', 'server')
{
	# Before the first row.
	my $held = hold_ledger($node);
	my $build = start_sql($node, $index);
	wait_until($node, $waiting);
	strike($how, 'CREATE INDEX%');
	finish_sql($build);
	eval { $held->quit };
	recovers("$how killed before the first object", 0);

	# Between two objects.
	$node->safe_psql('postgres', 'INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(5001, 20000) i')
	  if $node->safe_psql('postgres', 'SELECT count(*) FROM item') < 20000;
	my $stopped = 0;
	for my $try (1 .. 5)
	{
		($build, $held) = eval { stop_between_objects() } or next;
		$stopped = 1;
		last;
	}
	ok($stopped, "$how: a build stopped between two objects");
	strike($how, 'CREATE INDEX%');
	finish_sql($build);
	eval { $held->quit };
	recovers("$how killed between two objects", 1);

	# All is sent; the transaction has not ended.
	next if $how eq 'worker';
	$build = start_sql($node, "BEGIN; $index; SELECT pg_sleep(600)");
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND wait_event = 'PgSleep'");
	strike($how, 'SELECT pg_sleep(600)%');
	finish_sql($build);
	recovers("$how killed before the commit", 1);

	# Published.
	$node->safe_psql('postgres', "BEGIN; $index; PREPARE TRANSACTION 'p'");
	$build = start_sql($node, 'SELECT pg_sleep(601)');
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	strike($how, 'SELECT pg_sleep(601)%');
	finish_sql($build);
	my $live = objects($path);
	is(gc_actions($node), "kept $live", "$how killed after PREPARE: kept");
	$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
	is(gc_actions($node), "kept $live", "$how killed after COMMIT: kept");
	index_is_whole($node, 'item', 'item_v', 'v', 'vt.row(-1, 16)', "$how killed after COMMIT");

	# A collection that has removed objects, and not yet forgotten them.
	$node->safe_psql('postgres', 'DROP INDEX item_v');
	is(gc_actions($node, 'true'), "would remove $live", "$how: before a collection");
	# It marks first; a dry run does not.
	$node->safe_psql('postgres', "UPDATE vdb.object SET unreferenced_since = now(), unreferenced_lsn = pg_current_wal_insert_lsn()");
	$held = hold_ledger($node);
	my $collector = start_sql($node, 'SELECT count(*) FROM vdb.gc()');
	wait_until($node, $waiting);
	is(scalar objects($path), 0, "$how: objects go before their rows");
	strike($how, '%vdb.gc()%');
	finish_sql($collector);
	eval { $held->quit };
	is($node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object'), $live, "$how killed while collecting: the rows are there");
	recovers("$how killed while collecting", 0);
}

# A concurrent build that crashes leaves an invalid index.
(my $concurrently = $index) =~ s/INDEX/INDEX CONCURRENTLY/;
my $held = hold_ledger($node);
my $build = start_sql($node, $concurrently);
wait_until($node, $waiting);
kill_server($node);
finish_sql($build);
eval { $held->quit };
is(gc_actions($node), '', 'a concurrent build that crashed had sent nothing');
is($node->safe_psql('postgres', q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'item_v'::regclass}), 'f', 'its index is invalid');
$node->safe_psql('postgres', 'REINDEX INDEX item_v');
is_clean($node, $path, 'rebuilt');
done_testing();
