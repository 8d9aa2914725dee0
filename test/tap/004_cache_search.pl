# Searches through caches of every size find the same rows: cold, warm, and with a cache so small
# that each session is always in the way of the others.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbTest;

my $node = new_node('cache_search', conf => 'enable_seqscan = off');
load_gloss($node);
load_queries($node);

# The ten nearest of so many queries, as one text.
sub nearest_sql
{
	my ($queries, $order) = @_;
	return qq{
		SELECT md5(string_agg(n.ids, ';' ORDER BY h.id)) FROM held_out h, LATERAL (
			SELECT string_agg(g.id::text, ',') AS ids FROM (
				SELECT id FROM gloss ORDER BY embedding <=> h.embedding LIMIT 10) g) n
		WHERE h.id < $queries};
}

sub query { return $node->safe_psql('postgres', $_[0]); }

sub begin_session
{
	my @statements = map { ('-c', $_) } @_;
	my %session = (out => '', err => '');
	my @psql = ('psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres'), @statements);
	$session{run} = IPC::Run::start([@psql], '<', \undef, '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

query('CREATE INDEX gloss_embedding ON gloss USING vdb (embedding vector_cosine_ops)');
is(query('SELECT used, hits, misses FROM vdb.stat_cache'), '0|0|0', 'a build bypasses the cache');

my $expected = query(nearest_sql(200));
my ($used, $misses, $bytes_read) = split /\|/, query('SELECT used, misses, bytes_read FROM vdb.stat_cache');
cmp_ok($misses, '>', 0, 'the first searches read');
cmp_ok(abs($bytes_read - $used), '<', 0.05 * $used + 20 * 16384, 'what is used has been read once');
is(query(nearest_sql(200)), $expected, 'warm: the same rows');
is(query('SELECT misses, bytes_read, pinned FROM vdb.stat_cache'), "$misses|$bytes_read|0",
	'and nothing is read');

my $reset = query('SELECT stats_reset FROM vdb.stat_cache');
query('SELECT vdb.reset_stat_cache()');
is(query("SELECT hits, misses, bytes_read, used, stats_reset > '$reset' FROM vdb.stat_cache"), "0|0|0|$used|t",
	'vdb.reset_stat_cache(): counters start anew, and what is cached stays');

# Sessions that meet at the same cold frames.
$node->restart;
my @sessions = map { begin_session(nearest_sql(200)) } 1 .. 6;
$_->{run}->finish foreach @sessions;
is(join('', map { $_->{out} . $_->{err} } @sessions), "$expected\n" x 6, 'six cold sessions: the same rows');
is(query("SELECT misses >= $misses, bytes_read FROM vdb.stat_cache"), "t|$bytes_read",
	'what six sessions want is read once');

# A cache of 64 frames for an index of 400.
$node->stop;
$node->append_conf('postgresql.conf', 'vdb.cache_size = 1MB');
$node->start;
@sessions = map { begin_session(nearest_sql(200)) } 1 .. 6;
$_->{run}->finish foreach @sessions;
is(join('', map { $_->{out} . $_->{err} } @sessions), "$expected\n" x 6, 'a tiny cache: the same rows');
is(query('SELECT capacity, used <= capacity, evictions > 0, pinned FROM vdb.stat_cache'), '1048576|t|t|0',
	'it stays within its limit');

# Cursors that are open at once, each in the middle of its search.
my $declare = join '', map { qq{
	DECLARE c$_ NO SCROLL CURSOR FOR SELECT id FROM gloss
		ORDER BY embedding <=> (SELECT embedding FROM held_out WHERE id = $_);
	FETCH 1 FROM c$_;} } 0 .. 39;
my $fetch = join '', map { "FETCH 9 FROM c$_;" } 0 .. 39;
my $rows = query("BEGIN; $declare $fetch COMMIT;");
my $by_limit = join "\n",
	(map { query(qq{SELECT id FROM gloss ORDER BY embedding <=> (SELECT embedding FROM held_out WHERE id = $_) LIMIT 1}) } 0 .. 39),
	(map { query(qq{SELECT id FROM gloss ORDER BY embedding <=> (SELECT embedding FROM held_out WHERE id = $_) OFFSET 1 LIMIT 9}) } 0 .. 39);
is($rows, $by_limit, 'forty open cursors: the same rows');

# A whole scan needs every frame, and ends in order.
is(query(q{
	SET vdb.iterative_scan = relaxed_order;
	SELECT count(DISTINCT id) FROM (
		SELECT id FROM gloss ORDER BY embedding <=> (SELECT embedding FROM held_out WHERE id = 3)) s}),
	'20000', 'all rows through a tiny cache');
my ($status, $out, $err) = $node->psql('postgres', q{
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM gloss ORDER BY embedding <=> (SELECT embedding FROM held_out WHERE id = 3);
	FETCH 5 FROM c;
	SELECT 1 / 0;});
like($err, qr/division by zero/, 'an error while a search is open');
unlike($err, qr/still pinned/, 'which is not a leak');
is(query('SELECT pinned FROM vdb.stat_cache'), '0', 'nothing stays pinned');

# Cancelled in the middle, often, by sessions in each other's way. PostgreSQL itself takes a timeout for
# a user's request, once in some thousand times on a busy machine.
@sessions = map { begin_session(map { ("SET statement_timeout = $_", nearest_sql(500)) } (5, 10, 20, 40, 80)) } 1 .. 4;
$_->{run}->finish foreach @sessions;
is(join('', map { $_->{err} =~ s/^ERROR:  canceling statement due to (statement timeout|user request)\n//mgr } @sessions), '',
	'cancelled searches end with no other error');
is(query('SELECT pinned FROM vdb.stat_cache'), '0', 'and leave nothing pinned');
is(query(nearest_sql(200)), $expected, 'and searches after them find the same rows');

# Without preloading.
$node->stop;
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->start;
($status, $out, $err) = $node->psql('postgres', nearest_sql(200) . ';' . 'SELECT shared, pinned FROM vdb.stat_cache');
is($out, "$expected\nf|0", 'a cache of its own: the same rows');
like($err, qr/NOTICE: +vdb_ext is not preloaded/, 'with a notice');
$node->stop;

done_testing();
