# Indexes behind a bridge to S5, which keeps objects by their names: it knows no ranges, cannot list and has no records.
# Builds, searches and a purge work as with any store; a collection removes nothing, and says why.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbGarbage;
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

my $node = new_node('bridge', conf => "autovacuum = off\nvdb.gc_retention = 0\nvdb.allow_http = on\nvdb.request_timeout = '5s'\n");
define_helpers($node);
my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame');
$node->safe_psql('postgres', qq{
	CREATE TABLE item AS SELECT i AS id, vt.row(i, 16) AS v FROM generate_series(1, 5000) i;
	ALTER TABLE item ALTER v TYPE vector(16);
	CREATE SERVER bridge FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}', dialect 'bridge');
	CREATE USER MAPPING FOR CURRENT_USER SERVER bridge OPTIONS (auth_token 'sesame')});
sub keys_there { return scalar @{ $portal->command('GET', '/keys') }; }
sub ledger { return $node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object'); }

is($node->safe_psql('postgres', q{SELECT string_agg(step || ' ' || ok, ',') FROM vdb.store_check('bridge')}),
	'write true,size true,range true,verify true,remove true', 'a check of the store');
is(keys_there(), 0, 'it leaves nothing');

# A build, and searches with nothing cached.
$node->safe_psql('postgres', 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = bridge, chunk_size = 1000)');
my $objects = ledger();
cmp_ok($objects, '>=', 7, 'a build stores chunks, routing and a manifest');
is(keys_there(), $objects, 'the ledger has what is there');
my $search = q{SELECT string_agg(id::text, ',') FROM (SELECT id FROM item ORDER BY v <-> (SELECT v FROM item WHERE id = 7) LIMIT 10) s};
my $settings = 'SET enable_seqscan = off; SET enable_sort = off';
my $right = right_rows($node, $settings, $search);
foreach my $rerank (qw(heap chunk))
{
	$node->restart;
	$portal->forget;
	is($node->safe_psql('postgres', "$settings; SET vdb.rerank = $rerank; $search"), $right, "a cold search, distances from the $rerank");
	cmp_ok($portal->summary(method => 'GET', path => '^/s5/fs/')->{requests}, '>', 0, 'it asks the bridge');
	is($portal->summary->{requests}, $portal->summary(path => '^/s5/fs/')->{requests}, 'and nobody else');
}
index_is_whole($node, 'item', 'item_v', 'v', '(SELECT v FROM item WHERE id = 3)', 'over a bridge');

# Faults: once, and the next answer helps; for good, and it is an error.
my %faults = (cut => [ at => 1000, reset => 1 ], other_object => [], status => [ status => 503 ], reset => []);
foreach my $fault (sort keys %faults)
{
	$node->restart;
	$portal->fault($fault, @{ $faults{$fault} }, method => 'GET', path => '^/s5/fs/', times => 1);
	is($node->safe_psql('postgres', "$settings; $search"), $right, "$fault once: the right rows");
	ok(has_hit($portal), "$fault: it was seen");
	$portal->clear_faults;
	$node->restart;
	my $session = session($node, $settings);
	$portal->fault($fault, @{ $faults{$fault} }, method => 'GET', path => '^/s5/fs/', times => undef);
	my ($out, $err) = ask($session, $search);
	like($err, qr/ERROR:  (08006|XX002): .*(store "bridge"|index "item_v")/, "$fault for good: an error");
	is($out, '', "$fault: and no rows");
	$portal->clear_faults;
	answers_again($session, $search, $right, $fault);
	$session->quit;
}

# A failed build and a dropped index leave garbage. With no record of whose the objects are, a collection keeps all of it.
$node->psql('postgres', 'BEGIN; REINDEX INDEX item_v; ROLLBACK');
my $all = keys_there();
cmp_ok($all, '>', $objects, 'a failed build leaves garbage');
is(ledger(), $all, 'which the ledger knows');
foreach my $dry_run ('true', '')
{
	my @lines = split /\n/, gc($node, $dry_run);
	is(scalar(grep { /^kept\|.*item_v/ } @lines), $objects, 'a collection keeps what the index needs');
	is(scalar(grep { /^kept\|the store has no records, .*vdb\.purge\(\)/ } @lines), $all - $objects, 'and the rest, for want of records');
	is(scalar @lines, $all, 'and does nothing else');
}
is(keys_there(), $all, 'nothing was removed');
is(ledger(), $all, 'nor forgotten');
like(gc_error($node, q{SELECT vdb.adopt('bridge')}), qr/ERROR:  0A000: .*a bridge to S5 keeps no records/, 'nor can it be adopted');

# A purge, as soon as no index is there.
like(gc_error($node, q{SELECT * FROM vdb.purge('bridge')}), qr/ERROR:  2BP01: .*DETAIL:  Index "item_v" keeps its objects there/s, 'an index is there');
is(keys_there(), $all, 'nothing was removed');
$node->safe_psql('postgres', 'DROP INDEX item_v');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT action, ',') || ' ' || count(*) FROM vdb.purge('bridge')}), "removed $all", 'purged');
is(keys_there(), 0, 'nothing is left');
is(ledger(), 0, 'nor in the ledger');
$node->safe_psql('postgres', 'DROP SERVER bridge CASCADE');

done_testing();
