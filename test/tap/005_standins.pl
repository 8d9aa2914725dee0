# The stand-ins for remote stores run as the server's user, and are driven from Perl.

use strict;
use warnings;

use HTTP::Tiny;
use Test::More;
use VdbStandin;

my $http = HTTP::Tiny->new(proxy => undef, http_proxy => undef);

sub status { my ($url, %headers) = @_; return $http->get($url, { headers => \%headers })->{status}; }

my $portal = VdbStandin->start('s5_portal.py', '--token', 'secret', '--wire');
my %token = (Authorization => 'Bearer secret');
is(status("$portal->{url}/s5/version"), 401, 'a token is needed');
is(status("$portal->{url}/s5/version", %token), 200, 'a token is enough');

my $upload = $http->post("$portal->{url}/s5/upload",
	{ headers => { %token, 'Content-Type' => 'application/octet-stream' }, content => 'needle' x 3 });
my ($cid) = $upload->{content} =~ /"cid": "(z\w+)"/;
ok(defined $cid, 'an upload answers a CID');
is(scalar @{ $portal->command('GET', '/blobs') }, 1, 'one blob is kept');

$portal->fault('status', status => 503, path => "^/$cid", times => 2);
is_deeply([ map { status("$portal->{url}/$cid", %token) } 1 .. 3 ], [ 503, 503, 200 ],
	'a fault hits as often as it is told');
is_deeply($portal->hits, [ [ 'status', 2 ] ], 'hits are counted');
is_deeply($portal->summary(path => "^/$cid")->{statuses}, { 503 => 2, 200 => 1 },
	'statuses are counted');
is(scalar @{ $portal->records(method => 'POST') }, 1, 'requests are recorded');
like($portal->wire(sent => 0), qr/needleneedleneedle/, 'the wire is recorded');
$portal->forget;
$portal->clear_faults;
is_deeply($portal->records, [], 'records are forgotten');

$portal->down;
is(status("$portal->{url}/$cid", %token), 599, 'nobody listens after down');
$portal->up;
is(status("$portal->{url}/$cid", %token), 200, 'and somebody after up');
ok(!eval { $portal->fault('no such fault'); 1 }, 'an unknown fault is refused');

my $pid = $portal->{pid};
undef $portal;
ok(!kill(0, $pid), 'a stand-in ends with its object');

SKIP:
{
	my $s3 = VdbStandin->start('s3_server.py') or skip $VdbStandin::unavailable, 2;
	is(status("$s3->{url}/$s3->{bucket}/x"), 403, 'the S3 server wants signatures');
	is_deeply($s3->command('GET', '/uploads'), [], 'no upload is under way');
}

done_testing();
