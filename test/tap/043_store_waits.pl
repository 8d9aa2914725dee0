# Cancel, statement_timeout and pg_terminate_backend at every wait for a store: while an index is opened, a connection is
# made, an answer is awaited or comes in, between two tries, during an upload and its check, in a collection, and while
# another session fetches. The statement ends though the store would go on for minutes, and leaves nothing behind.
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(usleep);
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

my $node = new_node('waits', conf => "autovacuum = off\nvdb.allow_http = on\nvdb.request_timeout = '10min'\n"
	  . "vdb.gc_retention = 0\nmax_parallel_maintenance_workers = 0\n");
define_helpers($node);
load_gloss($node, 3000);
load_queries($node);
my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
$node->safe_psql('postgres', qq{
	CREATE TABLE small (id int, v vector(16));
	INSERT INTO small SELECT i, vt.row(i, 16) FROM generate_series(1, 2100) i;
	CREATE SERVER s5 FOREIGN DATA WRAPPER vdb_store
	  OPTIONS (type 's5', url '$portal->{url}', connect_timeout '600000', stall_timeout '600000');
	CREATE USER MAPPING FOR CURRENT_USER SERVER s5 OPTIONS (auth_token 'sesame')});
my $settings = 'SET enable_seqscan = off; SET enable_sort = off; SET jit = off; SET vdb.probes = 100000';
my $query = '(SELECT embedding FROM held_out WHERE id = 3)';
my $search = "SELECT string_agg(id::text, ',') FROM (SELECT id FROM gloss ORDER BY embedding <-> $query LIMIT 10) s";
my $right;
my $build = 'CREATE INDEX built ON small USING vdb (v) WITH (store = s5)';
my %endings = (timeout => qr/57014: canceling statement due to statement timeout/,
	cancel => qr/57014: canceling statement due to user request/, terminate => qr/57P01: terminating connection/);

sub cold
{
	my ($prewarm) = @_;
	$node->restart;
	$node->safe_psql('postgres', "SELECT * FROM vdb.prewarm('remote', 'routing')") if $prewarm;
	return;
}

sub pid_of { my ($session) = @_; return (ask($session, 'SELECT pg_backend_pid()'))[0]; }

# What a backend holds of the network: its connections, and what it waits for them with.
sub descriptors
{
	my ($pid) = @_;
	return scalar grep { (readlink // '') =~ /^(?:socket|anon_inode):/ } glob "/proc/$pid/fd/*";
}

# Kilobytes of memory of its own.
sub memory
{
	my ($pid) = @_;
	return slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die 'no RssAnon';
}

sub slurp { my ($file) = @_; local (@ARGV, $/) = ($file); return scalar <>; }

sub is_pinned_by_nobody
{
	my ($name) = @_;
	is($node->safe_psql('postgres', 'SELECT pinned FROM vdb.stat_cache'), 0, "$name: no pin is left");
	return;
}

# Begins `sql`, and ends it one way while it waits; returns its output and error. waits: returns when it does; with an
# argument whether it has, at once.
sub end_one
{
	my ($session, $pid, $sql, $how, $waits) = @_;
	if ($how eq 'timeout')
	{
		# On a busy machine it may not get as far in the first time.
		foreach my $ms (500, 2000, 8000, 30000)
		{
			$session->query_safe("SET statement_timeout = $ms");
			begin_ask($session, $sql);
			my @answer = end_ask($session);
			return @answer if $waits->('now');
		}
		die 'it never came to wait';
	}
	$session->query_safe('SET statement_timeout = 0');
	begin_ask($session, $sql);
	$waits->();
	$node->safe_psql('postgres', "SELECT pg_${how}_backend($pid)");
	return end_ask($session) if $how ne 'terminate';
	# psql goes with its connection.
	$session->{run}->finish;
	return ('', $session->{stderr});
}

my $rounds = 6;

# A wait, ended in every way and then a few times more. begin: makes the store so that `sql` waits; after: what must
# hold when it has ended.
sub ends
{
	my ($name, $sql, $begin, %more) = @_;
	my $waits = $more{waits} // sub { return $_[0] ? has_hit($portal) : wait_for_hit($portal) };
	my $session = session($node, $settings);
	my $pid = pid_of($session);
	my ($descriptors, $memory);
	foreach my $round (1 .. $rounds)
	{
		my $how = $round % 2 ? 'timeout' : 'cancel';
		$portal->forget;
		$begin->();
		my ($out, $err) = end_one($session, $pid, $sql, $how, $waits);
		if ($round <= 2)
		{
			like($err, qr/ERROR:  $endings{$how}/, "$name: $how ends it");
			is($out, '', "$name: $how: no answer");
			is_pinned_by_nobody("$name, $how");
			$more{after}->("$name, $how") if $more{after};
			($descriptors, $memory) = (descriptors($pid), memory($pid));
		}
		$portal->clear_faults;
	}
	cmp_ok(descriptors($pid), '<=', $descriptors + 2, "$name: no connection is left each time");
	cmp_ok(memory($pid), '<=', $memory + 4096, "$name: nor memory");

	my $doomed = session($node, $settings);
	my $victim = pid_of($doomed);
	$begin->();
	my (undef, $err) = end_one($doomed, $victim, $sql, 'terminate', $waits);
	like($err, qr/$endings{terminate}/, "$name: terminate ends it");
	wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $victim");
	is_pinned_by_nobody("$name, terminate");
	$portal->clear_faults;
	$more{restore}->($session) if $more{restore};
	$session->query_safe('SET statement_timeout = 0');
	answers_again($session, $more{again} // $sql, exists $more{right} ? $more{right} : $right, $name);
	$session->quit;
	wait_until_hung_up($name) unless $more{unread};
	return;
}

# The portal sees that nobody waits for it any more.
sub wait_until_hung_up
{
	my ($name) = @_;
	my $open;
	for (1 .. $patience)
	{
		$open = grep { !defined $_->{ended} } @{ $portal->records };
		last if $open == 0;
		usleep(100_000);
	}
	is($open, 0, "$name: no request is left");
	return;
}

sub stall { my (%how) = @_; return sub { $portal->fault('stall', seconds => 600, times => undef, %how) }; }

$node->safe_psql('postgres', 'CREATE INDEX remote ON gloss USING vdb (embedding) WITH (store = s5, chunk_size = 1000)');
$right = right_rows($node, $settings, $search);
my %get = (method => 'GET', path => '^/z');

cold(0);
ends('opening an index', $search, stall(%get));
cold(1);
ends('the first byte', $search, stall(%get));
cold(1);
ends('a body', $search, stall(%get, at => 1000));

# Five seconds until the next try: whoever ends before has not waited for it.
sub asked_once
{
	my ($name) = @_;
	my %asked;
	$asked{"$_->{target} $_->{range}"}++ foreach @{ $portal->records(%get) };
	cmp_ok(scalar keys %asked, '>', 0, "$name: the store was asked");
	is_deeply([ grep { $_ > 1 } values %asked ], [], "$name: and not again");
	return;
}
cold(1);
ends('the next try', $search, sub { $portal->fault('status', %get, status => 503, retry_after => 5, times => undef) }, after => \&asked_once);

# A server that takes the connection and says nothing: TLS does not come about.
my $mute = IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1') or die $!;
my $select = IO::Select->new($mute);
cold(0);
$node->safe_psql('postgres', q{ALTER SERVER s5 OPTIONS (SET url 'https://127.0.0.1:} . $mute->sockport . q{')});
my @taken;
ends('a connection', $search, sub { },
	waits => sub {
		my ($now) = @_;
		$select->can_read($now ? 0 : 60) or return $now ? 0 : die 'no connection came';
		push @taken, scalar $mute->accept;
		return 1;
	},
	restore => sub { my ($session) = @_; ask($session, "ALTER SERVER s5 OPTIONS (SET url '$portal->{url}')") });

ends('the answer to an upload', $build, stall(method => 'POST', path => '^/s5/upload$'), again => "$build; DROP INDEX built", right => '');
ends('the body of an upload', $build, stall(method => 'POST', path => '^/s5/upload$', upload_at => 50),
	# The end of a connection comes behind all that was sent, which the portal does not read.
	unread => 1, again => "$build; DROP INDEX built", right => '');
$node->safe_psql('postgres', q{ALTER SERVER s5 OPTIONS (ADD max_upload '64')});
ends('the answer to a piece', $build, stall(method => 'PATCH', skip => 1), again => "$build; DROP INDEX built", right => '');
$node->safe_psql('postgres', q{ALTER SERVER s5 OPTIONS (DROP max_upload)});
ends('the check of an upload', $build, stall(%get), again => "$build; DROP INDEX built", right => '');
ends('a collection', 'SELECT sum(1) FROM vdb.gc()', stall(method => 'DELETE'),
	again => q{SELECT count(*) > 0 FROM vdb.gc() WHERE action = 'removed'}, right => 't');

# A session that waits for what another one fetches ends by itself; and when the other one ends, it takes over.
cold(1);
my ($first, $second, $third) = map { session($node, $settings) } 1 .. 3;
stall(%get)->();
my %pid = map { $_ => pid_of($_) } $first, $second, $third;
my $fetches = sub { return $node->safe_psql('postgres', "SELECT state FROM pg_stat_activity WHERE pid = $pid{$first}"); };
begin_ask($first, $search);
wait_for_hit($portal);
sub waits_for_another
{
	my ($session) = @_;
	wait_until($node, "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid{$session}");
	return 1;
}
foreach my $how ('timeout', 'cancel')
{
	my ($out, $err) = end_one($second, $pid{$second}, $search, $how, sub { return $_[0] || waits_for_another($second) });
	like($err, qr/ERROR:  $endings{$how}/, "another's fetch: $how ends the wait for it");
	is($fetches->(), 'active', "another's fetch: $how: while it goes on");
}
my (undef, $err) = end_one($second, $pid{$second}, $search, 'terminate', sub { waits_for_another($second) });
like($err, qr/$endings{terminate}/, "another's fetch: terminate ends the wait for it");
is($fetches->(), 'active', "another's fetch: terminate: while it goes on");
asked_once("another's fetch");
begin_ask($third, $search);
waits_for_another($third);
$portal->clear_faults;
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid{$first})");
like((end_ask($first))[1], qr/ERROR:  $endings{cancel}/, "another's fetch: it is cancelled");
my ($out) = end_ask($third);
is($out, $right, "another's fetch: who waited takes over");
answers_again($first, $search, $right, "another's fetch");
is_pinned_by_nobody("another's fetch");
$_->quit foreach $first, $third;
is($node->safe_psql('postgres', q{SELECT count(*) FROM vdb.gc() WHERE action <> 'kept'}), 0, 'nothing is left to collect');
done_testing();
