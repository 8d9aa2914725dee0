# More than one cluster on one store: standbys, and such as were restored from one backup.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbGarbage;
use VdbIndex;
use VdbTest;

my $node = new_node('origin', has_archiving => 1, allows_streaming => 1, conf => "autovacuum = off\nvdb.gc_retention = 0\n");
define_helpers($node);
my $path = new_store('store');
my $index = 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = archive, chunk_size = 1000)';
$node->safe_psql('postgres', qq{
	CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path');
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 5000) i;
	$index});
my $live = objects($path);
my $search = 'SET enable_seqscan = off; SELECT id FROM item ORDER BY v <-> vt.row(7, 16) LIMIT 1';
$node->backup('base');

# A standby.
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
# It would archive its own timeline beside the primary's.
$standby->append_conf('postgresql.conf', 'archive_mode = off');
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is($standby->safe_psql('postgres', $search), '7', 'a standby reads from the store');
foreach my $call ('gc()', q{adopt('archive')}, q{purge('archive')})
{
	like(gc_error($standby, "SELECT vdb.$call"), qr/ERROR:  25006/, "not on a standby: $call");
}
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$node->safe_psql('postgres', 'DROP INDEX item_v');
is(gc_actions($node), "kept $live", 'a standby that has not replayed the DROP: kept');
like(gc($node), qr/the standby of WAL sender \d+ may still use it/, 'and it says so');
is($standby->safe_psql('postgres', $search), '7', 'the standby uses it');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is(gc_actions($node), "removed $live", 'the standby has replayed it');

# One that is connected and has not said yet how far it is; what reports and never replays is an archiver.
sub receiver
{
	my ($interval, $reports) = @_;
	my $directory = "$ENV{TESTDIR}/received_$interval";
	mkdir $directory or die;
	my $output = '';
	my $receiver = IPC::Run::start(
		[ 'pg_receivewal', '-D', $directory, '-s', $interval, '-d', $node->connstr('postgres') . ' application_name=receiver' ],
		'>', \$output, '2>', \$output);
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'receiver'
		AND state = 'streaming' AND (write_lsn IS NOT NULL) = $reports");
	return $receiver;
}

$node->safe_psql('postgres', "$index; DROP INDEX item_v");
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
my $receiver = receiver(0, 'false');
is(gc_actions($node), "kept $live", 'one that has not reported: kept');
like(gc($node), qr/WAL sender \d+'s standby, which has not reported yet, may still use it/, 'and it says so');
$receiver->signal('INT');
$receiver->finish;
$receiver = receiver(1, 'true');
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is(gc_actions($node), "removed $live", 'an archiver needs nothing');
$receiver->signal('INT');
$receiver->finish;

# One that is away, and has a slot.
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('away', true)});
$node->safe_psql('postgres', "$index; DROP INDEX item_v");
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is(gc_actions($node), "kept $live", 'the standby of a slot is behind: kept');
like(gc($node), qr/the standby of replication slot "away", which is not connected, may still use it/, 'and it says so');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('away')});
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is(gc_actions($node), "removed $live", 'the slot is gone');

# One that went away with WAL that it has received and not replayed. Its slot says the former.
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('held')});
$standby->append_conf('postgresql.conf', "primary_slot_name = 'held'");
$standby->restart;
$node->safe_psql('postgres', $index);
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$node->safe_psql('postgres', 'DROP INDEX item_v');
is(gc_actions($node), "kept $live", 'a standby with a slot has not replayed the DROP: kept');
$node->wait_for_catchup($standby, 'flush', $node->lsn('flush'));
my $marked = q{(SELECT max(unreferenced_lsn) FROM vdb.object)};
wait_until($node, "SELECT restart_lsn > $marked FROM pg_replication_slots WHERE slot_name = 'held'");
$standby->stop;
wait_until($node, q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'held'});
is(gc_actions($node), "kept $live", 'it is away, and has received it: kept');
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is(gc_actions($node), "removed $live", 'it has replayed it');
$standby->append_conf('postgresql.conf', "primary_slot_name = ''");
$standby->restart;
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('held')});

# Two clusters from one backup.
$node->safe_psql('postgres', $index);
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
my $contested = qr/ERROR:  55000.*another cluster collects.*HINT:.*vdb\.adopt\('archive'\)/s;
$standby->promote;
$standby->safe_psql('postgres', 'DROP INDEX item_v');
is(gc_actions($node), "kept $live", 'the old primary collects');
like(gc_error($standby), $contested, 'so the new one must not');
like(gc_error($standby, 'SELECT * FROM vdb.gc(true)'), $contested, 'nor say what it would do');
like(gc_error($standby, q{SELECT * FROM vdb.purge('archive')}), $contested, 'nor purge');
is(scalar objects($path), $live, 'nothing was removed');
is($node->safe_psql('postgres', $search), '7', 'the old one searches');
$standby->safe_psql('postgres', $index);
is($standby->safe_psql('postgres', $search), '7', 'the new one builds and searches');
like(gc($node), qr/kept\|$live objects of \d+ bytes are not in the ledger/, 'the old one sees what is not its own');
is(scalar objects($path), 2 * $live, 'and leaves it alone');
$standby->safe_psql('postgres', q{SELECT vdb.adopt('archive')});
like(gc_error($node), $contested, 'adopted: the old one is fenced off');
is(gc_actions($standby), "kept $live, removed $live", 'the new one collects');
is(gc_actions($standby), "kept $live", 'again');
like(gc_error($node), $contested, 'the old one is fenced off');
is($standby->safe_psql('postgres', $search), '7', 'the new one searches');

# A restore to a point before a DROP, within the window. Unlike a promotion it takes place elsewhere
# while the origin goes on.
$standby->stop;
$node->safe_psql('postgres', q{SELECT vdb.adopt('archive')});
$node->append_conf('postgresql.conf', "vdb.gc_retention = '1d'");
$node->reload;
$node->safe_psql('postgres', 'DROP TABLE item');
$node->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 5000) i} . ";$index");
$node->backup('later');
my $before = objects($path);
$node->safe_psql('postgres', q{SELECT pg_create_restore_point('before')});
$node->safe_psql('postgres', 'DROP INDEX item_v');
$node->safe_psql('postgres', 'SELECT count(*) FROM vdb.gc()');
is(scalar objects($path), $before, 'kept for a day');
my $last = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
wait_until($node, "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver");
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'later', has_restoring => 1, standby => 0);
$restored->append_conf('postgresql.conf', "recovery_target_name = 'before'\nrecovery_target_action = 'promote'\n");
$restored->start;
wait_until($restored, 'SELECT NOT pg_is_in_recovery()');
is($restored->safe_psql('postgres', $search), '7', 'restored: the index that was dropped since answers');
like(gc_error($restored), $contested, 'restored: contested');

# One that was restored to a point before the first build has nothing in its ledger, and all of the origin's in its prefix.
$restored->safe_psql('postgres', 'DROP TABLE item; DELETE FROM vdb.object; DELETE FROM vdb.store_owner');
is(gc_actions($restored), 'kept 1', 'nothing in the ledger: gc() knows what is there');
$before = objects($path);
like(gc_error($restored, q{SELECT * FROM vdb.purge('archive')}), $contested, 'nothing in the ledger: it must not purge');
is(scalar objects($path), $before, 'nothing was removed');
$restored->safe_psql('postgres', q{SELECT vdb.adopt('archive')});
is($restored->safe_psql('postgres', q{SELECT count(*) FROM vdb.purge('archive') WHERE action = 'removed'}), $before, 'adopted: it purges');
is(scalar objects($path), 0, 'all is removed');
done_testing();
