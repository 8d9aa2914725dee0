# Autoprewarm: what was in the cache before a restart is there after it, whatever has become of the
# file, the indexes and the store meanwhile; and nothing of it happens unless it is asked for.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VdbGarbage;
use VdbIndex;
use VdbStandin;
use VdbTest;

my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
my $path = new_store('store');
my $node = new_node('prewarm', allows_streaming => 1,
	conf => "autovacuum = off\nvdb.allow_http = on\nvdb.request_timeout = '20s'\nmax_parallel_maintenance_workers = 0\n");
my $file = $node->data_dir . '/vdb_ext.autoprewarm';
my $search = 'SET enable_seqscan = off; SELECT count(*) FROM (SELECT id FROM %s ORDER BY v <-> vt.row(7, 16) LIMIT 10) s;';

# Frames that a search of a table finds in the cache, and does not find.
sub cached
{
	my ($table, $database, $server) = @_;
	my $found = ($server // $node)->safe_psql($database // 'postgres',
		sprintf("$search SELECT cache_hits > 0, cache_misses FROM vdb.last_search()", $table));
	return (split /\n/, $found)[-1];
}

# Waits until the log says something since that offset.
sub logged
{
	my ($offset, $what, $name, $server) = @_;
	for (1 .. 1800)
	{
		return pass($name) if slurp_file(($server // $node)->logfile, $offset) =~ $what;
		usleep(100_000);
	}
	return fail("$name\n" . slurp_file(($server // $node)->logfile, $offset));
}

# Restarts; between: what is done while the server is down. Returns where the new log begins.
sub restart
{
	my ($between) = @_;
	$node->stop;
	$between->() if defined $between;
	my $offset = -s $node->logfile;
	$node->start;
	return $offset;
}

sub workers
{
	return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'vdb_ext autoprewarm%'});
}

sub flip
{
	my ($at) = @_;
	open my $handle, '+<:raw', $file or die "$file: $!";
	seek $handle, $at, 0;
	read $handle, my $byte, 1;
	seek $handle, $at, 0;
	print $handle chr(ord($byte) ^ 1);
	close $handle;
	return;
}

# One index in its own pages, one in a directory, one on a portal; and one in another database.
define_helpers($node);
$node->safe_psql('postgres', qq{
	CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path');
	CREATE SERVER portal FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}');
	CREATE ROLE keeper;
	GRANT USAGE ON FOREIGN SERVER portal TO keeper;
	CREATE USER MAPPING FOR keeper SERVER portal OPTIONS (auth_token 'sesame')});
foreach my $table ('local', 'archived', 'far')
{
	my $store = { local => 'local', archived => 'archive', far => 'portal' }->{$table};
	$node->safe_psql('postgres', qq{
		CREATE TABLE $table (id int, v vector(16));
		INSERT INTO $table SELECT i, vt.row(i, 16) FROM generate_series(1, 4000) i});
	$node->safe_psql('postgres', 'ALTER TABLE far OWNER TO keeper') if $table eq 'far';
	$node->safe_psql('postgres', "CREATE INDEX ${table}_v ON $table USING vdb (v) WITH (store = $store)");
}
$node->safe_psql('postgres', 'CREATE DATABASE other TEMPLATE postgres');
$node->safe_psql('other', 'REINDEX TABLE local');

# Off, as it is by default.
like(cached('local'), qr/\|[1-9]/, 'a first search finds less than it wants');
is(cached('local'), 't|0', 'a second one finds all');
is(workers(), 0, 'off: no worker');
my $offset = restart();
is(workers(), 0, 'off: nor after a restart');
ok(!-e $file, 'off: no file');
like(cached('local'), qr/\|[1-9]/, 'off: the cache is empty after a restart');

# On. What each database and store had is there again; the store was not asked by the searches.
$node->append_conf('postgresql.conf', "vdb.autoprewarm = on");
restart();
wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'vdb_ext autoprewarm' AND wait_event_type = 'Extension'});
cached($_) foreach 'local', 'archived', 'far';
cached('local', 'other');
$offset = restart(sub { ok(-s $file > 24, 'a shutdown writes the file'); $portal->forget; });
logged($offset, qr/brought ([1-9]\d*) of \1 frames of database "postgres"/, 'all frames of one database');
logged($offset, qr/brought ([1-9]\d*) of \1 frames of database "other"/, 'all frames of another');
cmp_ok($portal->summary->{requests}, '>', 0, 'the store was asked for them');
$portal->forget;
is(cached($_), 't|0', "$_: hot before the restart, hot after it") foreach 'local', 'archived', 'far';
is(cached('local', 'other'), 't|0', 'other: hot before the restart, hot after it');
is($portal->summary->{requests}, 0, 'and by the search for nothing');

# A crash: what was written down at some time before.
$node->append_conf('postgresql.conf', "vdb.autoprewarm_interval = 1");
$node->reload;
unlink $file;
for (1 .. 600) { last if -e $file; usleep(100_000); }
ok(-e $file, 'the file is written from time to time');
$offset = -s $node->logfile;
kill_server($node);
logged($offset, qr/frames of database "other"/, 'after a crash');
is(cached('local'), 't|0', 'hot before the crash, hot after it');
$node->append_conf('postgresql.conf', "vdb.autoprewarm_interval = 0");
$node->reload;

# Files that say nothing. The server starts, and the cache is empty.
my %damage = (
	'of another version' => [ sub { flip(8) }, qr/ignoring file "vdb_ext.autoprewarm": it is of another version/ ],
	'damaged' => [ sub { flip(40) }, qr/ignoring file "vdb_ext.autoprewarm": its checksum is wrong/ ],
	'of another length' => [ sub { append_to_file($file, 'x') }, qr/ignoring file "vdb_ext.autoprewarm": it has another length/ ],
	'empty' => [ sub { truncate $file, 0 }, qr/ignoring file "vdb_ext.autoprewarm": it is too short/ ],
	'something else' => [ sub { truncate $file, 0; append_to_file($file, 'x' x 1000) }, qr/it is not a list of frames/ ]);
foreach my $what (sort keys %damage)
{
	my ($change, $says) = @{ $damage{$what} };
	$offset = restart($change);
	logged($offset, $says, "a file that is $what");
	like(cached('local'), qr/\|[1-9]/, "a file that is $what: nothing is brought back");
	cached('archived');
}

# Indexes and databases that went or changed between; a directory that is not there.
cached('local', 'other');
restart();
$node->safe_psql('postgres', 'CREATE INDEX second ON local USING vdb (v)');
cached('local');
$node->safe_psql('postgres', 'DROP INDEX local_v');
cached('local');
$node->safe_psql('postgres', 'REINDEX INDEX second');
$node->safe_psql('postgres', 'DROP DATABASE other');
$offset = restart(sub { rename $path, "$path.away" });
logged($offset, qr/could not bring index "archived_v" back into the cache: /, 'a store that is away');
logged($offset, qr/brought \d+ of [1-9]\d* frames of database "postgres"/, 'and what has gone is left out');
rename "$path.away", $path;
like(cached('local'), qr/\|[1-9]/, 'the index was rebuilt: its frames are others');
$offset = restart();
logged($offset, qr/brought [1-9]\d* of [1-9]\d* frames of database "postgres"/, 'the store is there again');
is(cached('archived'), 't|0', 'what could not be read for once was not forgotten');
$offset = restart();
logged($offset, qr/brought ([1-9]\d*) of \1 frames of database "postgres"/, 'but what is in no index is');
ok(!-e "$file.unread", 'readers leave nothing behind');
cached($_) foreach 'local', 'archived', 'far';

# A store that does not answer holds up neither the start nor the shutdown, and what has not been
# brought back is not forgotten.
$portal->fault('stall', seconds => 300, method => 'GET', times => undef);
my $before;
restart(sub { $before = slurp_file($file) });
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'vdb_ext autoprewarm worker' AND wait_event_type = 'Extension'}) or die 'no worker waits';
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'a store that stalls: the server is up');
$offset = restart(sub { is(slurp_file($file), $before, 'a store that stalls: a shutdown goes on, and keeps the file'); $portal->clear_faults; });
logged($offset, qr/brought ([1-9]\d*) of \1 frames of database "postgres"/, 'then all of it');
is(cached($_), 't|0', "$_: hot at last") foreach 'local', 'archived', 'far';

# DROP DATABASE ends a reader that waits for such a store; what it had not read in other databases is not forgotten.
$node->safe_psql('postgres', 'CREATE DATABASE third TEMPLATE postgres');
$node->safe_psql('third', 'REINDEX INDEX far_v');
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET vdb.request_timeout = '1s'});
cached('far', 'third');
$portal->fault('stall', seconds => 300, method => 'GET', times => undef);
restart();
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'vdb_ext autoprewarm worker' AND wait_event_type = 'Extension' AND datname = 'third'}) or die 'no worker waits';
$offset = -s $node->logfile;
is(($node->psql('postgres', 'DROP DATABASE third'))[0], 0, 'a database whose frames are read can be dropped');
logged($offset, qr/terminating background worker "vdb_ext autoprewarm worker/, 'its reader has been told');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');
# The keeper has seen to all of them.
wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'vdb_ext autoprewarm worker'});
$offset = restart(sub { $portal->clear_faults });
logged($offset, qr/brought ([1-9]\d*) of \1 frames of database "postgres"/, 'all that remains is read the next time');
is(cached('far'), 't|0', 'far: hot again');
unlike(slurp_file($node->logfile, $offset), qr/FATAL/, 'nobody looks for the database that is gone');

# A smaller cache takes what it has room for.
$node->append_conf('postgresql.conf', "vdb.cache_size = '1MB'");
$offset = restart();
logged($offset, qr/brought [1-9]\d* of [1-9]\d* frames of database "postgres"/, 'a smaller cache');
is(cached('local') =~ /^[tf]\|\d+$/ ? 1 : 0, 1, 'a smaller cache: a search works');
$node->append_conf('postgresql.conf', "vdb.cache_size = '20MB'");
restart();

# A standby keeps its own.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
cached('local', 'postgres', $standby);
$standby->stop;
$offset = -s $standby->logfile;
$standby->start;
logged($offset, qr/brought ([1-9]\d*) of \1 frames of database "postgres"/, 'a standby', $standby);
is(cached('local', 'postgres', $standby), 't|0', 'a standby: hot before the restart, hot after it');
$standby->stop;

done_testing();
