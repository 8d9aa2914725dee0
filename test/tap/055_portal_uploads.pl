# How builds bring objects to an S5 portal, by its own record: large ones by tus, in pieces, whatever happens between two of
# them; and pinned, where the server's options say so.
use strict;
use warnings;

use Test::More;
use VdbGarbage;
use VdbIndex;
use VdbStandin;
use VdbTest;

my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
my $node = new_node('portal_uploads', conf => "autovacuum = off\nvdb.allow_http = on\nvdb.gc_retention = 0\n"
	  . "max_parallel_maintenance_workers = 0\n");
define_helpers($node);
$node->safe_psql('postgres', qq{
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 6000) i});

sub a_server
{
	my ($name, $options) = @_;
	$node->safe_psql('postgres', qq{
		CREATE SERVER $name FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}' $options);
		CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (auth_token 'sesame')});
	return;
}
a_server('plain', '');
a_server('pieces', ", max_upload '64'");
a_server('pinned', ", pin 'on'");
a_server('pinned_pieces', ", pin 'on', max_upload '64'");

# All in one chunk, and its routing object.
sub build { my ($store) = @_; return "CREATE INDEX built ON item USING vdb (v) WITH (store = $store, chunk_size = 1000000)"; }
sub whole { my ($name) = @_; return index_is_whole($node, 'item', 'built', 'v', '(SELECT v FROM item WHERE id = 7)', $name); }
sub blobs { return join ' ', sort @{ $portal->command('GET', '/blobs') }; }
sub pinned { return join ' ', @{ $portal->command('GET', '/pinned') }; }
my %create = (method => 'POST', path => '^/s5/upload/tus$');
my %piece = (method => 'PATCH', path => '^/s5/upload/tus/');

sub away
{
	my ($name) = @_;
	$portal->clear_faults;
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS built');
	unlike(gc($node), qr/kept/, "$name: all of it goes");
	is(blobs(), '', "$name: nothing is left");
	is(pinned(), '', "$name: nor pinned");
	$portal->forget;
	return;
}

$node->safe_psql('postgres', build('plain'));
is($portal->summary(%create)->{requests}, 0, 'small enough: as forms');
is(pinned(), '', 'and not pinned');
whole('as forms');
away('as forms');

$node->safe_psql('postgres', build('pieces'));
my @pieces = map { $_->{request_bytes} } @{ $portal->records(%piece) };
cmp_ok(scalar @pieces, '>', 4, 'a large object goes in pieces');
is_deeply([ grep { $_ != 65536 } @pieces[ 0 .. $#pieces - 1 ] ], [], 'all as large as they may be');
cmp_ok($pieces[-1], '<=', 65536, 'but for the last');
is($portal->summary(%create)->{requests}, 1, 'in one upload');
is(scalar(grep { $_->{request_bytes} > 65536 + 1000 } @{ $portal->records }), 0, 'nothing larger is sent');
whole('in pieces');
away('in pieces');

# What befalls one piece, and how often an upload is begun then.
my %interrupted = (
	'broken off in a piece' => [ 'reset', { skip => 1, upload_at => 10_000 }, 1 ],
	'a piece that is refused for now' => [ 'status', { skip => 2, status => 503 }, 1 ],
	'an answer that is lost' => [ 'reset', { skip => 1, after => \1 }, 1 ],
	'the last answer lost' => [ 'reset', { skip => $#pieces, after => \1 }, 2 ],
	'forgotten' => [ 'status', { skip => 2, status => 404 }, 2 ]);
foreach my $name (sort keys %interrupted)
{
	my ($kind, $how, $uploads) = @{ $interrupted{$name} };
	$portal->fault($kind, %piece, %$how);
	$node->safe_psql('postgres', build('pieces'));
	is_deeply($portal->hits, [ [ $kind, 1 ] ], "$name: it was");
	is($portal->summary(%create)->{requests}, $uploads, "$name: so many uploads");
	whole($name);
	away($name);
}

# Nobody waits for ever for a portal that takes no piece.
$portal->fault('status', %piece, status => 503, times => undef);
my (undef, undef, $err) = $node->psql('postgres', build('pieces'), extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  08006: store "pieces", object/, 'no piece is taken: an error');
away('no piece is taken');
wait_until_asked_again();

sub wait_until_asked_again
{
	return wait_until($node, q{SELECT bool_and(ok) FROM vdb.store_check('pieces')});
}
away('a check');

# Pins.
foreach my $store ('pinned', 'pinned_pieces')
{
	$node->safe_psql('postgres', build($store));
	is(pinned(), blobs(), "$store: every object is pinned");
	cmp_ok($portal->summary(method => 'POST', path => '^/s5/pin/')->{requests}, '>=', 3, "$store: the manifest, too");
	# Before it is read back: what is published is there to stay.
	my @order = map { $_->{method} eq 'GET' ? 'read' : 'pin' } sort { $a->{ended} <=> $b->{ended} }
		@{ $portal->records(path => '^/s5/pin/') }, @{ $portal->records(method => 'GET', path => '^/z') };
	is($order[0], 'pin', "$store: before it is read back");
	whole($store);
	away($store);
}
is($node->safe_psql('postgres', q{SELECT bool_and(ok) FROM vdb.store_check('pinned')}), 't', 'a check pins, too');
is($portal->summary(method => 'POST', path => '^/s5/pin/')->{requests}, 1, 'what it writes');
away('a check that pins');
$portal->fault('status', method => 'POST', path => '^/s5/pin/', status => 403, times => undef);
(undef, undef, $err) = $node->psql('postgres', build('pinned'), extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  42501: store "pinned", object.*access denied/, 'a portal that pins nothing');
away('not pinned');
done_testing();
