# What a cold search of an opened index asks a store for: one round of requests for four searches in
# five and never more than two, few requests, few bytes; frames that lie together, or nearly, in one, and
# larger gaps only where requests would wait for each other. What exact distances from chunks ask for then; and what vdb.prewarm
# says while it reads everything.
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

# Without preloading each session has a cache of its own, which begins empty; but nobody builds in a store.
sub preload
{
	my ($libraries) = @_;
	$node->stop;
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'$libraries'");
	$node->start;
	return;
}
preload('');

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

# Exact distances from chunks, where the codes are there: a dozen vectors of the table's, in one more round.
sub from_chunks
{
	my ($query) = @_;
	my ($code, $out, $err) = $node->psql('postgres', qq{
		SET client_min_messages = warning;
		SET enable_seqscan = off; SET enable_sort = off; SET vdb.rerank = chunk;
		SELECT vdb.prewarm('remote', 'codes') IS NULL;
		SELECT count(*) FROM (SELECT id FROM gloss ORDER BY embedding <-> (SELECT embedding FROM held_out WHERE id = $query) LIMIT 10) s;
		SELECT store_rounds, store_requests, store_bytes, exact_read FROM vdb.last_search()});
	my %search;
	@search{qw(rounds requests bytes exact)} = split /\|/, (split /\n/, $out)[-1];
	is($err, '', "from chunks, search $query") if $err ne '';
	return \%search;
}
my @lazy = map { from_chunks($_) } 0 .. 49;
my ($lazy_rounds, $lazy_requests, $lazy_bytes, $lazy_exact) = map { my $what = $_; [ map { $_->{$what} } @lazy ] } qw(rounds requests bytes exact);
note sprintf 'from chunks: most rounds %d, requests %d, bytes %d, distances %d', map { max(@{$_}) } $lazy_rounds, $lazy_requests, $lazy_bytes, $lazy_exact;
cmp_ok(min(@{$lazy_exact}), '>=', 10, 'from chunks: exact distances');
is(min(@{$lazy_rounds}), 1, 'from chunks: vectors are read when they are wanted');
cmp_ok(scalar(grep { $_ == 1 } @{$lazy_rounds}), '>=', 0.9 * @lazy, 'from chunks: in one round, but for one search in ten');
cmp_ok(max(@{$lazy_rounds}), '<=', 2, 'from chunks: never more than two');
# A vector has 2 kB, and lies in a frame or two.
cmp_ok(max(@{$lazy_requests}), '<=', 20, 'from chunks: in few requests');
cmp_ok(max(@{$lazy_bytes}), '<=', 1_000_000, 'from chunks: and for little');

# How far a prewarming is, where there is much to read.
my ($code, $frames, $notices) = $node->psql('postgres', q{SELECT frames FROM vdb.prewarm('remote', 'everything')});
my @far = map { [ split / of / ] } $notices =~ /NOTICE:  prewarmed (\d+ of \d+) frames/g;
cmp_ok(scalar @far, '>=', 5, 'prewarming says how far it is');
cmp_ok(scalar @far, '<=', 10, 'but not too often');
is_deeply([ map { $_->[1] } @far ], [ ($frames) x @far ], 'of all frames');
is_deeply([ map { $_->[0] } @far ], [ sort { $a <=> $b } map { $_->[0] } @far ], 'more each time');
is((map { $_->[0] } @far)[-1], $frames, 'until all are there');
(undef, undef, $notices) = $node->psql('postgres', q{SELECT frames FROM vdb.prewarm('remote', 'routing')});
unlike($notices, qr/prewarmed/, 'nothing where there is little to do');

$node->safe_psql('postgres', "ALTER SERVER portal OPTIONS (ADD max_connections '$few_connections')");
my @few = grep { $_->{rounds} == 1 } map { cold_search($_) } 0 .. 39;
is(scalar(grep { $_->{requests} > $few_connections and grep { $_ <= $largest_gap } gaps($_) } @few),
	0, 'where connections are few, larger gaps come along rather than wait');
cmp_ok(scalar(grep { $_->{requests} <= $few_connections and grep { $_ <= $largest_gap } gaps($_) } @few),
	'>', 0, 'but no more of them than it takes');
cmp_ok(sum(map { $_->{requests} } @few) / @few, '<', sum(map { $_->{requests} } @at_once) / @at_once, 'which makes fewer requests');

# Where codes say less, more rows are compared: after the first, twice as many are read at a time.
preload('vdb_ext');
$node->safe_psql('postgres', q{ALTER INDEX remote SET (code_bits = 1); REINDEX INDEX remote});
preload('');
@lazy = map { from_chunks($_) } 0 .. 49;
($lazy_rounds, $lazy_requests, $lazy_bytes, $lazy_exact) = map { my $what = $_; [ map { $_->{$what} } @lazy ] } qw(rounds requests bytes exact);
note sprintf 'from chunks, by one bit: most rounds %d, requests %d, bytes %d, distances %d', map { max(@{$_}) } $lazy_rounds, $lazy_requests, $lazy_bytes, $lazy_exact;
cmp_ok(max(@{$lazy_exact}), '>', 48, 'from chunks, by one bit: many exact distances');
cmp_ok(max(@{$lazy_rounds}), '<=', 4, 'from chunks, by one bit: in a few rounds all the same');
cmp_ok(max(@{$lazy_bytes}), '<=', 5_000_000, 'from chunks, by one bit: of 5 MB');

done_testing();
