# What a cold search of an opened index asks a store for: one round of requests for four searches in
# five and never more than two, few requests, few bytes; frames that lie together, or nearly, in one, and
# larger gaps only where requests would wait for each other.
use strict;
use warnings;

use List::Util qw(max min sum);
use PostgreSQL::Test::Utils;
use Test::More;
use VdbStandin;
use VdbTest;

my $searches = 200;
my $few_connections = 4;
my $frame = 16384 + 16;    # stored bytes
my $gap = 3;               # frames between two wanted ones that are fetched along
my $largest_gap = 8;       # and where there would be more requests than connections
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

# A search's figures, and the ranges that it asked for, in order, of each object.
sub cold_search
{
	my ($query) = @_;
	$portal->forget;
	my ($code, $out, $err) = $node->psql('postgres', qq{
		SET client_min_messages = warning;
		SET enable_seqscan = off; SET enable_sort = off;
		SELECT vdb.prewarm('remote', 'routing') IS NULL;
		SELECT count(*) FROM (SELECT id FROM gloss ORDER BY embedding <-> (SELECT embedding FROM held_out WHERE id = $query) LIMIT 10) s;
		SELECT store_rounds, store_requests, store_bytes, (SELECT misses FROM vdb.stat_cache) FROM vdb.last_search()});
	my ($none, $rows, $figures) = split /\n/, $out;
	is("$err$none$rows", 'f10', "search $query: ten rows") if $err ne '' or "$none$rows" ne 'f10';
	my %search;
	@search{qw(rounds requests bytes misses)} = split /\|/, $figures // '';

	# The session says what the portal has seen: but for the first request, which is the centroids', and
	# for what it asked a second time because it took long.
	my (undef, @seen) = @{ $portal->records(method => 'GET') };
	my %once = map { ("$_->{target} $_->{range}" => $_) } @seen;
	my @asked = values %once;
	is(scalar @asked, $search{requests}, "search $query: as many requests as the portal saw") if @asked != $search{requests};
	my %ranges;
	foreach my $request (@asked)
	{
		my ($first, $last) = $request->{range} =~ /^bytes=(\d+)-(\d+)$/;
		push @{ $ranges{ $request->{target} } }, [ $first, $last + 1 ];
	}
	$search{ranges} = [ map { [ sort { $a->[0] <=> $b->[0] } @$_ ] } values %ranges ];
	return \%search;
}

# Gaps between ranges, in frames, that could have been read along.
sub gaps
{
	my ($search) = @_;
	my @gaps;
	foreach my $ranges (@{ $search->{ranges} })
	{
		foreach my $i (1 .. $#$ranges)
		{
			my ($before, $after) = @$ranges[ $i - 1, $i ];
			push @gaps, ($after->[0] - $before->[1]) / $frame if $after->[1] - $before->[0] <= $longest;
		}
	}
	return @gaps;
}

sub median { return (sort { $a <=> $b } @_)[ @_ / 2 ] }

my @all = map { cold_search($_) } 0 .. $searches - 1;
my @rounds = map { $_->{rounds} } @all;
my @requests = map { $_->{requests} } @all;
my @bytes = map { $_->{bytes} } @all;
my @at_once = grep { $_->{rounds} == 1 } @all;
note sprintf 'one round: %d of %d; most rounds %d, requests %d, bytes %d; median requests %d, bytes %d; mean bytes %d',
  scalar @at_once, $searches, max(@rounds), max(@requests), max(@bytes), median(@requests), median(@bytes), sum(@bytes) / $searches;
is(scalar(grep { defined } @rounds), $searches, 'every search asked the portal');
cmp_ok(min(@rounds), '>=', 1, 'from an empty cache');
cmp_ok(scalar @at_once, '>=', 0.8 * $searches, 'one round of requests for four searches in five');
cmp_ok(max(@rounds), '<=', 2, 'never more than two');
cmp_ok(max(@requests), '<=', 60, 'at most 60 requests');
cmp_ok(median(@requests), '<=', 23, 'half of them at most 23');
cmp_ok(scalar(grep { $_ <= 5_000_000 } @bytes), '>=', 0.95 * $searches, 'at most 5 MB, but where most of the index is read');
cmp_ok(median(@bytes), '<=', 2_100_000, 'half of them at most 2.1 MB');
cmp_ok(sum(@bytes) / $searches, '<=', 2_300_000, 'and all of them no more in the mean');
cmp_ok(scalar(grep { $_->[1] - $_->[0] > $frame } map { map { @$_ } @{ $_->{ranges} } } @at_once), '>', 0,
	'adjacent frames come in one request');
# One of the misses is the centroids.
cmp_ok(scalar(grep { $_->{bytes} > ($_->{misses} - 1) * $frame } @at_once), '>', 0, 'and so do frames with a small gap between them');
is(scalar(grep { $_ <= $gap } map { gaps($_) } @at_once), 0, 'always');
cmp_ok(scalar(grep { $_ <= $largest_gap } map { gaps($_) } @at_once), '>', 0, 'larger gaps do not');

$node->safe_psql('postgres', "ALTER SERVER portal OPTIONS (ADD max_connections '$few_connections')");
my @few = grep { $_->{rounds} == 1 } map { cold_search($_) } 0 .. 39;
is(scalar(grep { $_->{requests} > $few_connections and grep { $_ <= $largest_gap } gaps($_) } @few),
	0, 'where connections are few, larger gaps come along rather than wait');
cmp_ok(scalar(grep { $_->{requests} <= $few_connections and grep { $_ <= $largest_gap } gaps($_) } @few),
	'>', 0, 'but no more of them than it takes');
cmp_ok(sum(map { $_->{requests} } @few) / @few, '<', sum(map { $_->{requests} } @at_once) / @at_once, 'which makes fewer requests');

done_testing();
