# What pg_stat_activity says of sessions and workers that wait: each wait has its name on PostgreSQL
# 17 and later, and is at least told from waiting for the client before.
use strict;
use warnings;

use Fcntl qw(LOCK_EX);
use PostgreSQL::Test::Utils;
use Test::More;
use VdbGarbage;
use VdbIndex;
use VdbStandin;
use VdbTest;

my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
my $node = new_node('waits', conf => "autovacuum = off\nvdb.allow_http = on\nmax_parallel_maintenance_workers = 0\n");
define_helpers($node);
$node->safe_psql('postgres', qq{
	CREATE SERVER portal FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER portal OPTIONS (auth_token 'sesame');
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 3000) i});
my $named = $node->safe_psql('postgres', q{SELECT current_setting('server_version_num')::int >= 170000}) eq 't';
my $create = 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = portal)';
my $search = 'SET enable_seqscan = off; SELECT id FROM item ORDER BY v <-> vt.row(7, 16) LIMIT 1';

# So many active processes wait like that. which: a condition on pg_stat_activity.
sub waits
{
	my ($which, $count, $event, $name) = @_;
	$event = 'Extension' unless $named;
	ok($node->poll_query_until('postgres',
			"SELECT count(*) = $count FROM pg_stat_activity WHERE $which AND wait_event_type = 'Extension' AND wait_event = '$event'"),
		$name)
	  or diag($node->safe_psql('postgres', 'SELECT backend_type, state, wait_event_type, wait_event, query FROM pg_stat_activity'));
	return;
}

# Ends them, and what stands in their way.
sub end_sessions
{
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()});
	finish_sql($_) foreach @_;
	$portal->clear_faults;
	return;
}

my $building = "query LIKE 'CREATE INDEX%' AND state = 'active'";
my $searching = "query LIKE '%ORDER BY v%' AND state = 'active' AND pid <> pg_backend_pid()";

# A build: for the ledger's row, and for the store.
my $held = hold_ledger($node);
my $session = start_sql($node, $create);
waits($building, 1, 'VdbLedger', 'a build that waits for its worker');
end_sessions($session);
$held->quit;
$portal->fault('stall', seconds => 60, method => 'POST', path => '^/s5/upload', times => undef);
$session = start_sql($node, $create);
waits($building, 1, 'VdbStoreUpload', 'a build that waits for an upload');
waits("backend_type = 'vdb_ext worker'", 1, 'VdbWorkerMain', 'its worker has nothing to do');
end_sessions($session);
$portal->fault('stall', seconds => 60, path => '^/s5/registry', times => undef);
$session = start_sql($node, q{SELECT vdb.adopt('portal')});
waits("query LIKE 'SELECT vdb.adopt%' AND state = 'active'", 1, 'VdbStoreAnswer', 'who waits for the owner record');
end_sessions($session);
$node->safe_psql('postgres', $create);

# A search: for the store, for another search that asks it, for the time to ask it again.
$node->restart;
$portal->fault('stall', seconds => 60, method => 'GET', times => undef);
my @sessions = map { start_sql($node, $search) } 1 .. 2;
waits($searching, 2, 'VdbStoreRead', 'searches that wait for the store') unless $named;
if ($named)
{
	waits($searching, 1, 'VdbStoreRead', 'a search that waits for the store');
	waits($searching, 1, 'VdbCacheFrame', 'a search that waits for what another one reads');
}
end_sessions(@sessions);
$portal->fault('status', status => 503, retry_after => 5, method => 'GET', times => undef);
$session = start_sql($node, $search);
waits($searching, 1, 'VdbStoreRetry', 'a search that waits before it asks again');
end_sessions($session);

# A directory's records, which another process writes.
my $path = new_store('store');
$node->safe_psql('postgres', "CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path'); SELECT vdb.adopt('archive')");
open my $records, '<', "$path/.records/.lock" or die "$path: $!";
flock $records, LOCK_EX or die $!;
$session = start_sql($node, q{SELECT vdb.adopt('archive')});
waits("query LIKE 'SELECT vdb.adopt%' AND state = 'active'", 1, 'VdbStoreLock', 'who waits for the records of a directory');
close $records;
is((finish_sql($session))[1], '', 'and gets them');

# The worker that mirrors manifests comes to an index that somebody has locked since it was built.
my $rebuilt = $node->background_psql('postgres');
$rebuilt->query_safe('BEGIN; REINDEX INDEX item_v');
$session = start_sql($node, q{BEGIN; DROP INDEX item_v; SELECT pg_sleep(600)});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation'}), 'a lock is wanted');
$rebuilt->query_safe('COMMIT');
$rebuilt->quit;
waits("backend_type = 'vdb_ext mirror'", 1, 'VdbMirrorLock', 'a worker that waits for an index');
end_sessions($session);

# A command that prints keys.
$node->append_conf('postgresql.conf', "vdb.master_key_command = 'sleep 60'");
$node->restart;
$session = start_sql($node, $search);
waits($searching, 1, 'VdbKeyCommand', 'a search that waits for a key');
end_sessions($session);

# The keeper of what was hot.
$node->append_conf('postgresql.conf', "vdb.autoprewarm = on");
$node->restart;
waits("backend_type = 'vdb_ext autoprewarm'", 1, 'VdbAutoprewarmMain', 'who writes down what is in the cache');

done_testing();
