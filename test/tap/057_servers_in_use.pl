# Servers in use: vdb.stat_store beside the portal's own record; the breaker, from session to session; options and mappings
# that change under a running session; whose mapping a collection uses; and secrets, which turn up nowhere.
use strict;
use warnings;

use Test::More;
use VdbGarbage;
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
# Statements are not logged: those that make mappings hold secrets.
my $node = new_node('in_use', conf => "autovacuum = off\nvdb.allow_http = on\nvdb.gc_retention = 0\nvdb.request_timeout = '30s'\n"
	  . "max_parallel_maintenance_workers = 0\nlog_statement = none\n");
define_helpers($node);
$node->safe_psql('postgres', qq{
	CREATE SERVER s5 FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}', max_range '32');
	CREATE USER MAPPING FOR CURRENT_USER SERVER s5 OPTIONS (auth_token 'sesame');
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 20000) i});
my $settings = 'SET client_min_messages = warning; SET enable_seqscan = off';
my $search = 'SELECT id FROM item ORDER BY v <-> vt.row(7, 16) LIMIT 1';
my $everything = q{SELECT frames > 20 FROM vdb.prewarm('remote', 'everything')};

# One row of figures, as the stand-in's are: since the last restart().
sub figures
{
	my %figures;
	@figures{qw(breaker requests received sent errors retries hedges won refetches not_asked p50 p95 p99)} = split /\|/,
	  $node->safe_psql('postgres', q{SELECT breaker, requests, received_bytes, sent_bytes, errors, retries, hedges, hedges_won, refetches,
		not_asked, p50, p95, p99 FROM vdb.stat_store WHERE server = 's5'});
	return \%figures;
}

sub restart
{
	$node->restart;
	$portal->forget;
	return session($node, $settings);
}

# The same figures on both sides, and nothing has gone wrong but what is said. The portal also counts what frames the parts of a
# body.
sub agrees
{
	my ($name, %wanted) = @_;
	my ($figures, $summary) = (figures(), $portal->summary);
	my $framing = 300 * $summary->{requests};
	is($figures->{requests}, $summary->{requests}, "$name: as many requests as the portal has seen");
	cmp_ok($figures->{received}, '<=', $summary->{response_bytes}, "$name: no more bytes than it has sent");
	cmp_ok($figures->{received} + $framing, '>=', $summary->{response_bytes}, "$name: nor fewer");
	cmp_ok($figures->{sent}, '<=', $summary->{request_bytes}, "$name: no more bytes sent than it has got");
	cmp_ok($figures->{sent} + $framing, '>=', $summary->{request_bytes}, "$name: nor fewer");
	my %all = (breaker => 'closed', errors => '{}', retries => 0, hedges => 0, won => 0, refetches => 0, not_asked => 0, %wanted);
	is($figures->{$_}, $all{$_}, "$name: $_") foreach sort keys %all;
	return $figures;
}

# One request at a time: none is sent again because it takes long, which happens on a machine that is busy.
$node->safe_psql('postgres', q{ALTER SERVER s5 OPTIONS (ADD max_connections '1')});
my $session = restart();
is($node->safe_psql('postgres', 'SELECT count(*) FROM vdb.stat_store'), 0, 'nothing has been asked yet');
$session->query_safe('CREATE INDEX remote ON item USING vdb (v) WITH (store = s5, chunk_size = 5000)');
my $figures = agrees('a build');
cmp_ok($figures->{sent}, '>', 20000 * 16 * 4, 'a build: all vectors were sent');
$session->quit;

$session = restart();
$portal->set(latency_ms => 60);
is($session->query_safe($search), '7', 'a search');
$portal->set(latency_ms => 0);
$figures = agrees('a search');
cmp_ok($figures->{requests}, '>', 1, 'a search asks the portal');
cmp_ok($figures->{received}, '>', 16384, 'a search: for frames');
cmp_ok($figures->{p50}, '>=', 50, 'half of the reads took as long as the portal takes, nearly');
cmp_ok($figures->{p95}, '>=', $figures->{p50}, 'p95 is no less');
cmp_ok($figures->{p99}, '>=', $figures->{p95}, 'nor p99');
$session->quit;

# What goes wrong has a name. An error of the statement: after so many tries as the portal was asked.
my %read = (method => 'GET', path => '^/z');
sub one_error
{
	my ($name, $fault, $how, %wanted) = @_;
	my $one = restart();
	$portal->fault($fault, %read, times => 1, %{$how});
	is($one->query_safe($search), '7', "$name: the right row");
	agrees($name, %wanted);
	$portal->clear_faults;
	$one->quit;
	return;
}
one_error('no answer for once', 'status', { status => 503 }, errors => '{"server": 1}', retries => 1);
one_error('too many for once', 'status', { status => 429 }, errors => '{"too_many": 1}', retries => 1);
one_error('a reset for once', 'reset', {}, errors => '{"reset": 1}', retries => 1);
one_error('another range for once', 'wrong_content_range', { what => 'start', skip => 1 }, errors => '{"wrong_range": 1}', refetches => 1);
one_error('a wrong bit for once', 'flip', { offset => 50, bit => 1 }, refetches => 1);
foreach my $case ([ 401, 'authorization' ], [ 404, 'missing' ], [ 413, 'body_too_large' ])
{
	my ($status, $kind) = @{$case};
	my $one = restart();
	$portal->fault('status', %read, status => $status, times => 1);
	like((ask($one, $search))[1], qr/ERROR:.*HTTP $status/, "$status: an error");
	agrees($status, errors => qq({"$kind": 1}));
	$portal->clear_faults;
	$one->quit;
}

# A request that takes long when many did not is sent again; unless others were, too, on a machine that is busy.
$node->safe_psql('postgres', q{ALTER SERVER s5 OPTIONS (DROP max_connections)});
for (1 .. 5)
{
	$session = restart();
	$session->query_safe(q{SELECT * FROM vdb.prewarm('remote', 'codes')});
	$portal->fault('slow_first_byte', %read, seconds => 5, times => 1);
	is($session->query_safe($everything), 't', 'a slow request');
	is_deeply($portal->hits, [ [ 'slow_first_byte', 1 ] ], 'a slow request: it was');
	$portal->clear_faults;
	$figures = figures();
	$session->quit;
	last if $figures->{won} >= 1;
}
cmp_ok($figures->{hedges}, '>=', 1, 'a slow request: it was sent again');
cmp_ok($figures->{won}, '>=', 1, 'a slow request: the second one was quicker');
cmp_ok($figures->{won}, '<=', $figures->{hedges}, 'a slow request: so it was with no more than were sent again');
cmp_ok($figures->{hedges} * 20, '<=', $figures->{requests} + $figures->{hedges}, 'a slow request: few are');

# The portal says nothing: one session waits for it, the others need not; and when it answers, all is well.
my ($first, $second) = (restart(), session($node, "$settings; SET vdb.request_timeout = '1500ms'"));
$first->query_safe("SET vdb.request_timeout = '1500ms'");
$portal->fault('stall', seconds => 600, times => undef);
my ($out, $err, $other, $before, $after);
for (1 .. 6)
{
	# It stays open for longer each time, should this machine be busy.
	($out, $err) = ask($first, $search);
	next if $err =~ /is not asked again/;
	like($err, qr/ERROR:  08006: store "s5", object "[^"]+": timed out/, 'an outage: the first session waits for the portal');
	$before = $portal->summary->{requests};
	(undef, $other) = ask($second, $search);
	$figures = figures();
	$after = $portal->summary->{requests};
	last if $other =~ /is not asked again/ && $figures->{breaker} eq 'open';
}
like($other, qr/ERROR:  08006: store "s5", object "[^"]+": did not answer a moment ago, and is not asked again for \d+ ms/,
	'an outage: the second one does not');
is($after, $before, 'an outage: the portal has not seen it');
is($figures->{breaker}, 'open', 'an outage: the breaker is open');
like($figures->{errors}, qr/^\{"timeout": [1-9]\d*\}$/, 'an outage: timeouts');
cmp_ok($figures->{not_asked}, '>=', 1, 'an outage: who was not let through is counted');
$portal->clear_faults;
answers_again($second, $search, '7', 'an outage');
is($first->query_safe($search), '7', 'an outage: nor has the first session anything left of it');
is(figures()->{breaker}, 'closed', 'an outage: the breaker is closed');
$_->quit foreach $first, $second;

# What is changed counts in sessions that have the store open.
my %changes = (
	'a mapping' => [ q{ALTER USER MAPPING FOR postgres SERVER s5 OPTIONS (SET auth_token 'another-word')},
		q{ALTER USER MAPPING FOR postgres SERVER s5 OPTIONS (SET auth_token 'sesame')}, qr/ERROR:  42501: store "s5".*access denied/ ],
	'a server' => [ q{ALTER SERVER s5 OPTIONS (SET url 'http://127.0.0.1:1')},
		"ALTER SERVER s5 OPTIONS (SET url '$portal->{url}')", qr/ERROR:  08006: store "s5".*could not connect/ ]);
foreach my $name (sort keys %changes)
{
	my ($change, $back, $refused) = @{ $changes{$name} };
	my $running = restart();
	$running->query_safe(q{SELECT * FROM vdb.prewarm('remote', 'routing')});
	$node->safe_psql('postgres', $change);
	like((ask($running, $search))[1], $refused, "$name, changed: another session uses the new one");
	$node->safe_psql('postgres', $back);
	answers_again($running, $search, '7', "$name, changed back");
	$running->quit;
}

# A collection uses the mapping of the role that owns, or owned, the index: the superuser's own is of no use here.
$node->safe_psql('postgres', q{
	SELECT * FROM vdb.store_check('s5');
	CREATE ROLE keeper;
	GRANT USAGE ON FOREIGN SERVER s5 TO keeper;
	CREATE USER MAPPING FOR keeper SERVER s5 OPTIONS (auth_token 'sesame');
	DROP INDEX remote;
	SELECT * FROM vdb.gc();
	ALTER USER MAPPING FOR postgres SERVER s5 OPTIONS (SET auth_token 'another-word');
	ALTER TABLE item OWNER TO keeper;
	CREATE INDEX remote ON item USING vdb (v) WITH (store = s5);
	CREATE INDEX dropped ON item USING vdb (v) WITH (store = s5);
	DROP INDEX dropped});
sub blobs { return scalar @{ $portal->command('GET', '/blobs') }; }
is($node->safe_psql('postgres', q{SELECT bool_or(ok) FROM vdb.store_check('s5') WHERE step IN ('write', 'remove')}), 'f',
	'a collection: with its own mapping the superuser could do nothing');
my $all = blobs();
cmp_ok($all, '>', 4, 'a collection: there is something to collect');
$portal->forget;
like(gc_actions($node), qr/^kept \d+, removed \d+$/, "a collection: with the owner's it does");
is_deeply([ keys %{ $portal->summary(method => 'DELETE')->{statuses} } ], ['200'], 'a collection: the portal took its token');
cmp_ok(blobs(), '<', $all, 'a collection: objects are gone');
is(gc_actions($node), 'kept ' . blobs(), 'a collection: the others are in use');
is($node->safe_psql('postgres', "$settings; $search"), '7', 'nor does a search need a mapping of who searches');

# Secrets: also where a node repeats what it was sent.
$portal->fault('status', status => 401, text => 'no such token: sesame', times => undef);
$session = restart();
($out, $err) = ask($session, $search);
like($err, qr/access denied/, 'a node that repeats the token');
unlike("$out$err", qr/sesame/, 'it is not repeated here');
($out) = ask($session, q{SELECT * FROM vdb.store_check('s5')});
unlike($out, qr/sesame|another-word/, 'nor by a check');
$session->quit;
shows_no_secret($node, 'sesame', 'another-word');
done_testing();
