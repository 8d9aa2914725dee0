# What builds and searches ask of an S5 portal, by its own record: objects are read back while the
# next ones are sent, and the location that a redirect gave is asked at once the next time.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbStandin;
use VdbTest;

my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
my $node = new_node('traffic', conf => "autovacuum = off\nvdb.allow_http = on\nmax_parallel_maintenance_workers = 0\n");
define_helpers($node);
$node->safe_psql('postgres', qq{
	CREATE SERVER portal FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}');
	CREATE SERVER elsewhere FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}', redirect 'on');
	CREATE USER MAPPING FOR CURRENT_USER SERVER portal OPTIONS (auth_token 'sesame');
	CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere OPTIONS (auth_token 'sesame');
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 30000) i});

# Reading back. With so little memory three objects are under way, whatever their size.
my $create = q{SET maintenance_work_mem = '1MB'; CREATE INDEX item_v ON item USING vdb (v) WITH (store = portal, chunk_size = 3000)};
$portal->set(latency_ms => 50);
$portal->forget;
$node->safe_psql('postgres', $create);
$portal->set(latency_ms => 0);
my @sent = @{ $portal->records(method => 'POST', path => '^/s5/upload') };
my @read = @{ $portal->records(method => 'GET', path => '^/z') };
cmp_ok(scalar @sent, '>', 8, 'a build sends some objects');
my %read = map { $_->{target} => 1 } @read;
is(scalar keys %read, scalar @sent, 'each is read back');
# The last one is the manifest, which follows when all the others have been read.
cmp_ok(scalar(grep { $_->{started} < $sent[-2]{started} } @read), '>=', @sent - 4, 'while others are still to be sent');
sub at_once { return $portal->summary(method => 'POST', path => '^/s5/upload')->{at_once}; }
cmp_ok(at_once(), '<=', 3, 'three at a time are sent');
$node->safe_psql('postgres', 'DROP INDEX item_v');
# With more memory, more of them, where that is what it takes.
$portal->set(latency_ms => 300);
$portal->forget;
$node->safe_psql('postgres', $create =~ s/1MB/64MB/r);
$portal->set(latency_ms => 0);
cmp_ok(at_once(), '>', 3, 'more are sent at a time');
$node->safe_psql('postgres', 'DROP INDEX item_v');
foreach my $fault ([ 'XX002', 'flip', offset => 100, bit => 3 ], [ '08006', 'truncate', at => 100 ])
{
	my ($sqlstate, $kind, %how) = @$fault;
	$portal->fault($kind, %how, method => 'GET', path => '^/z', times => undef);
	$portal->forget;
	my ($code, $out, $err) = $node->psql('postgres', $create, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  $sqlstate: .*store "portal", object/, "$kind: what was read back is not what was sent");
	$portal->clear_faults;
	cmp_ok($portal->summary(method => 'POST', path => '^/s5/upload')->{requests}, '<', scalar @sent, "$kind: no more is sent then");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'item_v'}), 0, "$kind: no index");
}

# Redirects. The index is one chunk and its routing object.
sub storage { my ($method, $path, $value) = @_; return $portal->command($method, $path, $value, 'second_admin'); }
sub hops { return $portal->summary(path => '^/s5/blob')->{requests}; }
$node->safe_psql('postgres', 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = elsewhere, chunk_size = 1000000)');
is($node->safe_psql('postgres', q{SELECT count(*) FROM vdb.index_objects('item_v')}), 2, 'one chunk');
$node->restart;
my $session = $node->background_psql('postgres');
$session->query_safe('SET enable_seqscan = off');
my $search = 'SELECT id FROM item ORDER BY v <-> vt.row(7, 16) LIMIT 1';
$portal->forget;
storage('DELETE', '/records');
is($session->query_safe($search), '7', 'redirects: a search');
cmp_ok(hops(), '>', 0, 'redirects: the portal says where');
my $asked = storage('GET', '/summary')->{requests};
cmp_ok($asked, '>', 0, 'redirects: and is asked there');

# Something goes wrong there: the portal is asked again, at once.
storage('POST', '/faults', { kind => 'status', status => 403, times => 1 });
$portal->forget;
$session->query_safe(q{SELECT vdb.prewarm('item_v', 'codes')});
is_deeply(storage('GET', '/faults'), [ [ 'status', 1 ] ], 'redirects: the location was remembered, and refused');
cmp_ok(hops(), '>', 0, 'redirects: so the portal was asked again');
storage('DELETE', '/faults');

# All is well: nobody asks the portal.
$portal->forget;
storage('DELETE', '/records');
$session->query_safe(q{SELECT vdb.prewarm('item_v', 'everything')});
is($portal->summary->{requests}, 0, 'redirects: the portal is not asked for what is known');
cmp_ok(storage('GET', '/summary')->{requests}, '>', 0, 'redirects: but there');
is(scalar(grep { grep { $_ eq 'authorization' } @{ $_->{header_names} } } @{ storage('GET', '/records') }), 0,
	'redirects: no token goes there');
is($session->query_safe($search), '7', 'redirects: the same row');
$session->quit;

done_testing();
