# Cancel, statement_timeout and pg_terminate_backend at every wait for a store: while an index is opened, a name
# is looked up, a connection is made, an answer is awaited or comes in, there or where a redirect leads, between two tries,
# during an upload and its check, in a collection, for a directory's records, and while another session fetches. The statement ends though the store would go on for minutes, and leaves nothing behind.
use strict;
use warnings;

use Fcntl qw(LOCK_EX);
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VdbGarbage;
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
# Whose faults are meant: the portal's, or those of where its redirects lead.
our $faulty = $portal;
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
	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die 'no RssAnon';
}

# Frames of the cache that are not free: those that somebody has claimed, and left, would be among them.
sub used { return $node->safe_psql('postgres', 'SELECT used FROM vdb.stat_cache'); }

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
	my $waits = $more{waits} // sub { return $_[0] ? has_hit($faulty) : wait_for_hit($faulty) };
	my $session = session($node, $settings);
	my $pid = pid_of($session);
	my ($descriptors, $memory);
	my $used = used();
	foreach my $round (1 .. $rounds)
	{
		my $how = $round % 2 ? 'timeout' : 'cancel';
		$faulty->forget;
		$begin->();
		my ($out, $err) = end_one($session, $pid, $sql, $how, $waits);
		if ($round <= 2)
		{
			like($err, qr/ERROR:  $endings{$how}/, "$name: $how ends it");
			is($out, '', "$name: $how: no answer");
			is_pinned_by_nobody("$name, $how");
			is(used(), $used, "$name, $how: no frame is claimed");
			$more{after}->("$name, $how") if $more{after};
			($descriptors, $memory) = (descriptors($pid), memory($pid));
		}
		$faulty->clear_faults;
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
	is(used(), $used, "$name, terminate: no frame is claimed");
	$faulty->clear_faults;
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
		$open = grep { !defined $_->{ended} } @{ $faulty->records };
		last if $open == 0;
		usleep(100_000);
	}
	is($open, 0, "$name: no request is left");
	return;
}

sub stall { my (%how) = @_; return sub { $faulty->fault('stall', seconds => 600, times => undef, %how) }; }

$node->safe_psql('postgres', 'CREATE INDEX remote ON gloss USING vdb (embedding) WITH (store = s5, chunk_size = 1000)');
$right = right_rows($node, $settings, $search);
my %get = (method => 'GET', path => '^/z');

cold(0);
ends('opening an index', $search, stall(%get));
cold(1);
my ($used, $claimed) = (used(), 0);
ends('the first byte', $search, stall(%get),
	waits => sub {
		return has_hit($portal) if $_[0];
		wait_for_hit($portal);
		$claimed = max($claimed, used());
		return 1;
	});
cmp_ok($claimed, '>', $used, 'the first byte: meanwhile there are claims');
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

# Where a redirect leads.
{
	$node->safe_psql('postgres', q{ALTER SERVER s5 OPTIONS (ADD redirect 'on')});
	cold(1);
	# Its control port is the portal's second; it ends with the portal.
	local $faulty = bless { %{$portal}, admin => $portal->{second_admin}, pid => undef, in => undef }, 'VdbStandin';
	ends('where a redirect leads', $search, stall(method => 'GET'));
	$node->safe_psql('postgres', q{ALTER SERVER s5 OPTIONS (DROP redirect)});
}

# The records of a directory, while another process writes them.
{
	my $path = new_store('directory');
	$node->safe_psql('postgres', "CREATE SERVER directory FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path'); SELECT vdb.adopt('directory')");
	open my $records, '<', "$path/.records/.lock" or die "$path: $!";
	flock $records, LOCK_EX or die $!;
	ends('the records of a directory', q{SELECT vdb.adopt('directory')}, sub { },
		waits => sub {
			# Who has ended has waited: the lock is ours.
			wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT vdb.adopt%' AND state = 'active'
				AND wait_event_type = 'Extension'}) unless $_[0];
			return 1;
		},
		restore => sub { close $records }, right => '');
}

# A name that nobody answers for: looking it up cannot be stopped, and is left to itself.
{
	my ($library, $looked_up, $held) = map { "$ENV{TESTDIR}/$_" } 'slow_names.so', 'looked_up', 'held';
	append_to_file("$library.c", q{
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <fcntl.h>
		#include <netdb.h>
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		int getaddrinfo(const char* name, const char* service, const struct addrinfo* hints, struct addrinfo** found) {
			int (*real)(const char*, const char*, const struct addrinfo*, struct addrinfo**) = dlsym(RTLD_NEXT, "getaddrinfo");
			if (name == NULL || strcmp(name, "slow.invalid") != 0) return real(name, service, hints, found);
			int file = open(getenv("VDB_LOOKED_UP"), O_WRONLY | O_CREAT | O_APPEND, 0600);
			if (write(file, "x", 1) != 1) abort();
			close(file);
			while (access(getenv("VDB_HELD"), F_OK) == 0) usleep(20000);
			return EAI_NONAME;
		}});
	system_or_bail('cc', '-shared', '-fPIC', '-o', $library, "$library.c", '-ldl');
	append_to_file($held, '');
	local @ENV{qw(LD_PRELOAD VDB_LOOKED_UP VDB_HELD)} = ($library, $looked_up, $held);
	cold(1);
	delete $ENV{LD_PRELOAD};
	$node->safe_psql('postgres', q{ALTER SERVER s5 OPTIONS (SET url 'http://slow.invalid')});
	my $used = used();
	foreach my $how ('timeout', 'cancel', 'terminate')
	{
		my $session = session($node, $settings);
		my $pid = pid_of($session);
		my $before = (-s $looked_up) // 0;
		my $asks = sub { return ((-s $looked_up) // 0) > $before };
		my (undef, $err) = end_one($session, $pid, $search, $how, sub {
			return $asks->() if $_[0];
			for (1 .. $patience) { last if $asks->(); usleep(100_000); }
			return $asks->() || die 'no name was looked up';
		});
		like($err, qr/$endings{$how}/, "a name: $how ends the wait for it");
		if ($how eq 'terminate')
		{
			wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
			next;
		}
		is((ask($session, 'SET statement_timeout = 0; SELECT 1'))[0], '1', "a name: $how: the session goes on");
		$session->quit;
	}
	is_pinned_by_nobody('a name');
	is(used(), $used, 'a name: no frame is claimed');
	unlink $held;
	$node->safe_psql('postgres', "ALTER SERVER s5 OPTIONS (SET url '$portal->{url}')");
	my $session = session($node, $settings);
	answers_again($session, $search, $right, 'a name');
	$session->quit;
}
done_testing();
