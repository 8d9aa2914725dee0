# The objects of an index are read outside PostgreSQL with nothing but their CIDs from vdb.chunk_cid, docs/format.md, and
# @noble/ciphers and @noble/hashes: what comes out holds the table's vectors, byte for byte.
use strict;
use warnings;

use Test::More;
use VdbIndex;
use VdbStandin;
use VdbTest;

my $packages = "$ENV{VDB_TEST}/../build/npm/s5";
plan skip_all => 'npm cannot fetch the packages of s5' unless -d "$packages/node_modules" && `node --version`;

my $node = new_node('chunk_cid', conf => "autovacuum = off\nvdb.allow_http = on\nmax_parallel_maintenance_workers = 0\n");
define_helpers($node);
my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame');
$node->safe_psql('postgres', qq{
	CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER archive OPTIONS (auth_token 'sesame');
	CREATE TABLE item (id int, v vector(100));
	INSERT INTO item SELECT i, vt.row(i, 100) FROM generate_series(1, 4000) i;
	CREATE INDEX item_v ON item USING vdb (v) WITH (store = archive, chunk_size = 1000)});

# An object's plaintext, by a program that is given the portal's address and the CID.
sub read_blob
{
	my ($cid) = @_;
	local $ENV{S5_TOKEN} = 'sesame';
	open my $pipe, '-|:raw', 'node', "$ENV{VDB_TEST}/store/node/read_blob.mjs", $packages, $portal->{url}, $cid or die $!;
	local $/ = undef;
	my $plain = <$pipe>;
	return close($pipe) ? $plain : undef;
}

# One item of CBOR at $$at: a number, a string, a hash of a map's entries. Tags are left out.
sub cbor
{
	my ($bytes, $at) = @_;
	my $head = ord substr $$bytes, $$at++, 1;
	my ($major, $value) = ($head >> 5, $head & 31);
	if ($value >= 24)
	{
		my $length = 1 << ($value - 24);
		die "CBOR of kind $major without a length\n" if $length > 8;
		my $number = substr $$bytes, $$at, $length;
		$$at += $length;
		# Tag and simple value of seven: a float, which nobody here looks at.
		return unpack 'f>', $number if $major == 7;
		$value = unpack 'Q>', "\0" x (8 - $length) . $number;
	}
	return $value if $major == 0;
	return -1 - $value if $major == 1;
	if ($major == 2 || $major == 3)
	{
		$$at += $value;
		return substr $$bytes, $$at - $value, $value;
	}
	return cbor($bytes, $at) if $major == 6;
	die "CBOR of kind $major\n" unless $major == 5;
	my %map;
	foreach (1 .. $value)
	{
		my $name = cbor($bytes, $at);
		$map{$name} = cbor($bytes, $at);
	}
	return \%map;
}

my %left = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', q{
	SELECT encode(substr(vector_send(v), 5), 'hex') FROM item});
is(scalar keys %left, 4000, 'vectors that differ');
my @objects = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres',
	q{SELECT number, kind, plain_bytes, rows, vdb.chunk_cid('item_v', number) FROM vdb.index_objects('item_v') ORDER BY number});
cmp_ok(scalar @objects, '>', 3, 'an index of several chunks');
my ($uuid, %lists);
foreach my $object (@objects)
{
	my ($number, $kind, $bytes, $rows, $cid) = @{$object};
	my $plain = read_blob($cid);
	ok(defined $plain, "object $number: is read by its CID") or next;
	is(length $plain, $bytes, "object $number: whole");
	my $at = 0;
	my $document = cbor(\$plain, \$at);
	is($at, $bytes, "object $number: one item");
	is($document->{format}, "vdb_ext $kind", "object $number: the format that the page says");
	is("$document->{dim} $document->{padded_dim}", '100 128', "object $number: its shape");
	$uuid //= $document->{index};
	is($document->{index}, $uuid, "object $number: of one index");
	my @list_rows = unpack 'L<*', $document->{rows};
	if ($kind eq 'routing')
	{
		is(length $document->{centroids}, 128 * $document->{lists}, 'a centroid a list');
		%lists = (all => join ',', @list_rows);
		next;
	}
	my $total = 0;
	$total += $_ foreach @list_rows;
	is($total, $rows, "object $number: the rows of its lists");
	$lists{chunks} .= (defined $lists{chunks} ? ',' : '') . join ',', @list_rows;
	# Big-endian, as vector_send has them.
	my @vectors = unpack '(a400)*', pack 'N*', unpack 'V*', $document->{region_c};
	is(scalar @vectors, $rows, "object $number: a vector a row");
	delete $left{ unpack 'H*', $_ } foreach @vectors;
}
is($lists{chunks}, $lists{all}, 'the chunks have the lists of the routing object');
is(scalar keys %left, 0, 'each vector of the table was found');

# The CID is the key: of another one's, or with another last bit, nothing comes out.
(my $wrong = $objects[1][4]) =~ s/^(.{80})(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/e;
open my $stderr, '>&', \*STDERR or die;
open STDERR, '>', '/dev/null' or die;
my $nothing = read_blob($wrong);
open STDERR, '>&', $stderr or die;
is($nothing, undef, 'with another key nothing is read');
done_testing();
