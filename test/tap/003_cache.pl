# The frame cache, driven through a module of its own whose loader the test can stop.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = "$ENV{VDB_TEST}/../src";
my $module = "$ENV{TESTDIR}/cache_test_module.so";
system_or_bail(
	'g++', '-std=c++20', '-O2', '-fPIC', '-shared', '-Wno-register',
	'-DPGDLLEXPORT=__attribute__((visibility("default")))',
	"-I$source", '-isystem', $ENV{VDB_INCLUDE}, '-o', $module,
	"$ENV{VDB_TEST}/tap/cache/cache_test_module.cpp",
	glob("$source/pg/cache/*.cpp"), "$source/pg/guard.cpp", "$source/pg/error.cpp");

my $functions = qq{
	CREATE FUNCTION pin(object int, first int, n int, kind int DEFAULT 1, how text DEFAULT '')
		RETURNS int LANGUAGE c AS '$module', 'cache_pin';
	CREATE FUNCTION hold(object int, first int, n int) RETURNS int LANGUAGE c AS '$module', 'cache_hold';
	CREATE FUNCTION release() RETURNS void LANGUAGE c AS '$module', 'cache_release';
	CREATE FUNCTION image(object int, frames int, stops bool DEFAULT false)
		RETURNS bool LANGUAGE c AS '$module', 'cache_image';
	CREATE FUNCTION stress(seed int, seconds float8, objects int)
		RETURNS bigint LANGUAGE c AS '$module', 'cache_stress';
	CREATE FUNCTION audit() RETURNS text LANGUAGE c AS '$module', 'cache_audit';
	CREATE FUNCTION reset() RETURNS void LANGUAGE c AS '$module', 'vdb_reset_stat_cache';
	CREATE FUNCTION stat(OUT shared bool, OUT capacity bigint, OUT used bigint, OUT pinned bigint,
		OUT hits bigint, OUT misses bigint, OUT evictions bigint, OUT waits bigint,
		OUT wait_time float8, OUT private_reads bigint, OUT bytes_read bigint,
		OUT stats_reset timestamptz) LANGUAGE c AS '$module', 'vdb_stat_cache';};

# 64 frames.
my $node = PostgreSQL::Test::Cluster->new('cache');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = '$module'");
$node->append_conf('postgresql.conf', "vdb.cache_size = 1MB");
$node->append_conf('postgresql.conf', "restart_after_crash = on");
$node->start;
$node->safe_psql('postgres', $functions);

my $object = 0;

sub query { return $node->safe_psql('postgres', $_[0]); }

# A session of its own that runs the statements; finish() waits for its end.
sub begin_session
{
	my @statements = map { ('-c', $_) } @_;
	my %session = (out => '', err => '');
	my @psql = ('psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres'), @statements);
	$session{run} = IPC::Run::start([@psql], '<', \undef, '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

sub finish
{
	my ($session) = @_;
	$session->{run}->finish;
	chomp $session->{out};
	return $session->{out};
}

# Holds the lock at which a loader stops, until its stdin is closed.
sub hold_lock
{
	my %session = (in => '', out => '', err => '');
	my @psql = ('psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres'));
	$session{run} = IPC::Run::start([@psql], '<', \$session{in}, '>', \$session{out}, '2>', \$session{err});
	$session{in} .= "SELECT pg_advisory_lock(1, 0); SELECT 'locked';\n";
	$session{run}->pump until $session{out} =~ /locked/;
	return \%session;
}

sub unlock
{
	my ($session) = @_;
	$session->{run}->finish;
	return;
}

# Waits until so many sessions wait: at the lock ('Lock') or for a frame ('Extension').
sub wait_for
{
	my ($type, $n) = @_;
	ok($node->poll_query_until('postgres', qq{
		SELECT count(*) = $n FROM pg_stat_activity
		WHERE wait_event_type = '$type' AND backend_type = 'client backend'}),
		"$n sessions wait for $type");
	return;
}

sub is_sound
{
	my ($what) = @_;
	is(query('SELECT audit()'), '', "$what: nothing is left pinned, claimed or lost");
	return;
}

# What is read once is read by nobody else.
++$object;
is(query("SELECT pin($object, 0, 20), pin($object, 0, 20)"), '20|0', 'the second time all are hits');
is(query("SELECT pin($object, 10, 20)"), '10', 'another session reads only what is missing');
is(query('SELECT reset(); SELECT hits, misses, bytes_read FROM stat()'), "\n0|0|0", 'counters are reset');
query("SELECT pin($object, 25, 10)");
is(query('SELECT hits, misses, bytes_read, waits, pinned, shared, capacity FROM stat()'),
	5 . '|5|' . 5 * 16400 . '|0|0|t|1048576', 'counters count');
is(query("SELECT pin(1000, 0, 3), pin(1000, 0, 3) FROM generate_series(1, 1)"), '3|0', 'and again');
# The same frame twice in one request.
is_sound('pins');

# One session reads, the others wait for it.
foreach my $sessions (1, 12)
{
	++$object;
	query('SELECT reset()');
	my $lock = hold_lock();
	my $reader = begin_session("SELECT pin($object, 0, 4, 1, 'stop');");
	wait_for('Lock', 1);
	my @waiters = map { begin_session("SELECT pin($object, 0, 5);") } 1 .. $sessions;
	wait_for('Extension', $sessions);
	unlock($lock);
	is(finish($reader), '4', 'the reader reads');
	my $read = 0;
	$read += finish($_) foreach @waiters;
	is($read, 1, "$sessions waiters read only what the reader did not");
	is(query("SELECT waits >= $sessions, wait_time > 0 FROM stat()"), 't|t', "$sessions waiters: the waits and their time count");
	is_sound("$sessions waiters");
}

# Whatever ends the reader, a waiter takes over.
foreach my $end ('cancel', 'terminate', 'timeout')
{
	++$object;
	my $lock = hold_lock();
	my @timeout = $end eq 'timeout' ? "SET statement_timeout = '2s'" : ();
	my $reader = begin_session(@timeout, "SELECT pin($object, 0, 4, 1, 'stop')");
	wait_for('Lock', 1);
	my @waiters = map { begin_session("SELECT pin($object, 0, 4);") } 1 .. 3;
	wait_for('Extension', 3);
	query(qq{
		SELECT pg_${end}_backend(pid) FROM pg_stat_activity
		WHERE wait_event_type = 'Lock' AND backend_type = 'client backend'}) if $end ne 'timeout';
	my $read = 0;
	$read += finish($_) foreach @waiters;
	is($read, 4, "$end of the reader: one waiter reads all");
	finish($reader);
	like($reader->{err}, $end eq 'terminate' ? qr/terminating connection/ : qr/canceling statement/,
		"$end ends the reader");
	unlock($lock);
	is_sound($end);
}

# A read that fails is an error for that reader alone.
++$object;
my ($status, $out, $err) = $node->psql('postgres', "SELECT pin($object, 0, 4, 1, 'fail')");
like($err, qr/made to fail/, 'the failure is reported');
is(query("SELECT pin($object, 0, 4)"), '4', 'and the next session reads');

# In a subtransaction as well.
is(query(qq{
	DO \$\$ BEGIN PERFORM pin(77, 0, 4, 1, 'fail'); EXCEPTION WHEN OTHERS THEN NULL; END \$\$;
	SELECT pin(77, 0, 4);}), '4', 'a caught failure leaves no claim');

# A waiter that is cancelled lets the others be.
{
	++$object;
	my $lock = hold_lock();
	my $reader = begin_session("SELECT pin($object, 0, 4, 1, 'stop');");
	wait_for('Lock', 1);
	my $waiter = begin_session('SET statement_timeout = 200', "SELECT pin($object, 0, 4)");
	finish($waiter);
	like($waiter->{err}, qr/statement timeout/, 'a waiter can be cancelled');
	unlock($lock);
	is(finish($reader), '4', 'the reader goes on');
	is_sound('cancelled waiter');
}

# When all frames are pinned, others read into their own memory.
{
	++$object;
	my $next = $object + 1;
	is(query(qq{
		BEGIN;
		SELECT hold($object, 0, 64);
		SELECT pinned, used FROM stat();
		SELECT reset();
		SELECT pin($next, 0, 30);
		SELECT private_reads, evictions, pinned FROM stat();
		SELECT release();
		COMMIT;
		SELECT pin($next, 0, 30), pin($next, 0, 30);}),
		"64\n1048576|1048576\n\n30\n30|0|1048576\n\n30|0", 'all pinned: private memory');
	is_sound('all pinned');
	$next = ++$object + 1;
	($status, $out, $err) = $node->psql('postgres', qq{
		\\set VERBOSITY sqlstate
		SET work_mem = '64kB';
		SELECT pin($next, 0, 64 + 1024);
		SELECT pin($next, 0, 64 + 1025);});
	is($out, '1088', 'so many frames at once fill the cache and the private memory');
	like($err, qr/ERROR: +53200/, 'one more is an error');
	is(query('SELECT used <= capacity FROM stat()'), 't', 'the cache does not grow');
	is_sound('private memory full');
}

# Pins go with the transaction, the subtransaction, the session.
$object += 2;
is(query("BEGIN; SELECT hold($object, 0, 10); ROLLBACK; SELECT pinned FROM stat()"),
	"10\n0", 'rollback unpins');
is(query(qq{
	BEGIN; SELECT hold($object, 0, 10); SAVEPOINT s; SELECT hold($object, 10, 10);
	SELECT pinned / 16384 FROM stat(); ROLLBACK TO s; SELECT pinned / 16384 FROM stat();
	SELECT release(); COMMIT}), "0\n10\n20\n10\n", 'rollback to a savepoint unpins what came after');
($status, $out, $err) = $node->psql('postgres',
	"BEGIN; SELECT hold($object, 0, 10); COMMIT; SELECT pinned FROM stat()");
is($out, "0\n0", 'commit unpins, too');
like($err, qr/WARNING: +vdb cache: 10 frames were still pinned/, 'but says that it should not have to');
query("BEGIN; SELECT hold($object, 0, 10)");
is(query('SELECT pinned FROM stat()'), '0', 'the end of a session unpins');
($status, $out, $err) = $node->psql('postgres',
	"BEGIN; SELECT hold($object, 0, 10); SELECT pg_terminate_backend(pg_backend_pid())");
is(query('SELECT pinned FROM stat()'), '0', 'termination unpins');
is_sound('ends');

# What is in use survives a scan, and first codes (1) outlive vectors (3).
++$object;
query("SELECT pin($object, 0, 20) FROM generate_series(1, 4)");
query("SELECT pin(500, i * 10, 10) FROM generate_series(0, 99) i");
is(query("SELECT pin($object, 0, 20)"), '0', 'a scan does not flush what is in use');
query("SELECT pin(501, 0, 20, 1), pin(502, 0, 20, 3) FROM generate_series(1, 3)");
query("SELECT pin(503, 0, 20, 2) FROM generate_series(1, 3)");
query("SELECT pin(504, i * 10, 10, 2) FROM generate_series(0, 9) i");
cmp_ok(query('SELECT pin(501, 0, 20, 1)'), '<', query('SELECT pin(502, 0, 20, 3)'),
	'codes are kept rather than vectors');

# Images: built once, adjacent, evictable.
{
	++$object;
	my $lock = hold_lock();
	my $builder = begin_session("SELECT image($object, 20, true);");
	wait_for('Lock', 1);
	my @waiters = map { begin_session("SELECT image($object, 20);") } 1 .. 5;
	wait_for('Extension', 5);
	query(qq{
		SELECT pg_cancel_backend(pid) FROM pg_stat_activity
		WHERE wait_event_type = 'Lock' AND backend_type = 'client backend'});
	is(join('', sort map { finish($_) } @waiters), 'fffft', 'cancelled: one waiter builds it');
	finish($builder);
	unlock($lock);
	is_sound('image');
	is(query("SELECT image($object, 20)"), 'f', 'it is there for all');
	query("SELECT image($object + i, 20) FROM generate_series(1, 9) i");
	is_sound('images over images');
	query("SELECT pin(600, i * 10, 10) FROM generate_series(0, 9) i, generate_series(1, 3)");
	is_sound('frames over images');
	my $large = $object + 20;
	is(query("SELECT reset(); SELECT image($large, 40), image($large, 40); SELECT private_reads FROM stat()"),
		"\nt|f\n1", 'a large one is private, and kept');
	is(query("SELECT image($large, 40)"), 't', 'so another session builds its own');
	is(query(qq{
		BEGIN; SELECT hold(601, 0, 50); SELECT image($large + 1, 20), image($large + 1, 20);
		SELECT release(); COMMIT; SELECT image($large + 2, 20)}),
		"50\nt|f\n\nt", 'where no run of frames is to be had, too');
	is_sound('private images');
	$object += 40;
}

# Everything at once, with sessions that are cancelled and terminated in between.
{
	my $seed = int(rand(1 << 20));
	note("stress seed $seed");
	my @sessions = map { begin_session("SELECT stress($seed + $_, 4, 12);") } 1 .. 8;
	foreach my $i (1 .. 12)
	{
		my $end = $i % 2 ? 'cancel' : 'terminate';
		query(qq{
			SELECT pg_sleep(0.1);
			SELECT pg_${end}_backend(pid) FROM pg_stat_activity
			WHERE query LIKE '%stress%' AND state = 'active' AND pid <> pg_backend_pid()
			ORDER BY random() LIMIT 1}) if $i <= 6;
	}
	finish($_) foreach @sessions;
	my @wrong = grep { $_->{err} ne '' && $_->{err} !~ /canceling statement|terminating connection/ } @sessions;
	is(join('', map { $_->{err} } @wrong), '', "stress, seed $seed: no wrong bytes, no other error");
	ok((grep { $_->{out} =~ /^\d+$/ } @sessions) >= 2, 'some sessions went through');
	is_sound("stress, seed $seed");
}

# kill -9 restarts the server, which starts with an empty cache.
{
	my $victim = begin_session('SELECT stress(1, 60, 12);');
	ok($node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%stress%' AND pid <> pg_backend_pid()}),
		'stress runs');
	my $pid = query(q{
		SELECT pid FROM pg_stat_activity WHERE query LIKE '%stress%' AND pid <> pg_backend_pid()});
	kill 'KILL', $pid;
	finish($victim);
	ok($node->poll_query_until('postgres', 'SELECT audit() = \'\''), 'sound after a crash');
	is(query('SELECT used FROM stat()'), '0', 'and empty');
}
$node->stop;

# Without preloading each session has its own.
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->adjust_conf('postgresql.conf', 'vdb.cache_size', '150MB');
$node->start;
($status, $out, $err) = $node->psql('postgres', qq{
	SELECT pin(1, 0, 20), pin(1, 0, 20);
	SELECT image(1, 20), image(1, 20);
	SELECT stress(1, 0.5, 50) > 0;
	SELECT shared, capacity, pinned FROM stat();
	SELECT audit();});
is($out, "20|0\nt|f\nt\nf|16777216|0\n", 'no preload: it works in 16 MB of its own');
is(() = $err =~ /NOTICE: +vdb_ext is not preloaded/g, 1, 'and says so once');
like($err, qr/HINT: +Add vdb_ext to shared_preload_libraries/, 'with a way out');
is(query('SELECT pin(1, 0, 20)'), '20', 'another session shares nothing');
$node->stop;

done_testing();
