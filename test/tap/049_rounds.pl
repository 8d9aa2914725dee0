# What a cold search of an opened index asks a store for: one round of requests for four searches in
# five and never more than two, few requests, few bytes; frames that lie together, or nearly, in one.
use strict;
use warnings;

use List::Util qw(max min sum);
use PostgreSQL::Test::Utils;
use Test::More;
use VdbStandin;
use VdbTest;

my $searches = 200;
my $frame = 16384 + 16;    # stored bytes
my $gap = 4;               # frames between two wanted ones that are fetched along
my $longest = 4096 * 1024;    # max_range

my $node = new_node('rounds', conf => "autovacuum = off\nvdb.allow_http = on\nmax_parallel_maintenance_workers = 0\n");
load_gloss($node);
load_queries($node);
my $portal = VdbStandin->start('s5_portal.py');
$node->safe_psql('postgres', qq{
	CREATE SERVER portal FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER portal;
	CREATE INDEX remote ON gloss USING vdb (embedding) WITH (store = portal)});

# Without preloading each session has a cache of its own, which begins empty.
$node->stop;
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->start;

my (@rounds, @requests, @bytes, $apart, $long, $along);
foreach my $query (0 .. $searches - 1)
{
	$portal->forget;
	my ($code, $out, $err) = $node->psql('postgres', qq{
		SET client_min_messages = warning;
		SET enable_seqscan = off; SET enable_sort = off;
		SELECT vdb.prewarm('remote', 'routing') IS NULL;
		SELECT count(*) FROM (SELECT id FROM gloss ORDER BY embedding <-> (SELECT embedding FROM held_out WHERE id = $query) LIMIT 10) s;
		SELECT store_rounds, store_requests, store_bytes, (SELECT misses FROM vdb.stat_cache) FROM vdb.last_search()});
	my ($none, $rows, $figures) = split /\n/, $out;
	is("$err$none$rows", 'f10', "search $query: ten rows") if $err ne '' or "$none$rows" ne 'f10';
	my ($rounds, $requests, $bytes, $misses) = split /\|/, $figures // '';
	push @rounds, $rounds;
	push @requests, $requests;
	push @bytes, $bytes;
	# One of the misses is the centroids.
	$along++ if $bytes > ($misses - 1) * $frame;

	# The session says what the portal has seen: but for the first request, which is the centroids', and
	# for what it asked a second time because it took long.
	my (undef, @seen) = @{ $portal->records(method => 'GET') };
	my %once = map { ("$_->{target} $_->{range}" => $_) } @seen;
	my @asked = values %once;
	is(scalar @asked, $requests, "search $query: as many requests as the portal saw") if @asked != $requests;
	next if $rounds != 1;
	my %ranges;
	foreach my $request (@asked)
	{
		my ($first, $last) = $request->{range} =~ /^bytes=(\d+)-(\d+)$/;
		push @{ $ranges{ $request->{target} } }, [ $first, $last + 1 ];
	}
	foreach my $object (values %ranges)
	{
		my @in_order = sort { $a->[0] <=> $b->[0] } @$object;
		$long += grep { $_->[1] - $_->[0] > $frame } @in_order;
		foreach my $i (1 .. $#in_order)
		{
			my ($before, $after) = @in_order[ $i - 1, $i ];
			$apart++ if $after->[0] - $before->[1] <= $gap * $frame and $after->[1] - $before->[0] <= $longest;
		}
	}
}
my $at_once = grep { $_ == 1 } @rounds;
note sprintf 'one round: %d of %d; most rounds %d, requests %d, bytes %d, mean %d', $at_once, $searches,
  max(@rounds), max(@requests), max(@bytes), sum(@bytes) / $searches;
is(scalar(grep { defined } @rounds), $searches, 'every search asked the portal');
cmp_ok(min(@rounds), '>=', 1, 'from an empty cache');
cmp_ok($at_once, '>=', 0.8 * $searches, 'one round of requests for four searches in five');
cmp_ok(max(@rounds), '<=', 2, 'never more than two');
cmp_ok(max(@requests), '<=', 60, 'at most 60 requests');
cmp_ok(scalar(grep { $_ <= 5_000_000 } @bytes), '>=', 0.95 * $searches, 'at most 5 MB, but where most of the index is read');
cmp_ok($long, '>', 0, 'adjacent frames come in one request');
cmp_ok($along, '>', 0, 'and so do frames with a small gap between them');
is($apart // 0, 0, 'always');

done_testing();
