# The ledger and vdb.gc() over HTTP: an S5 portal, which cannot list and keeps owner records in its registry, and S3.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;
use VdbGarbage;
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

my $node = new_node('garbage_portal',
	conf => "autovacuum = off\nvdb.gc_retention = 0\nvdb.allow_http = on\nvdb.request_timeout = '5s'\nlog_statement = none\n");
define_helpers($node);
$node->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 3000) i});

# The whole life of a store; objects(): how many it has.
sub life
{
	my ($name, $objects) = @_;
	my $index = "CREATE INDEX item_v ON item USING vdb (v) WITH (store = $name, chunk_size = 1000)";
	$node->safe_psql('postgres', $index);
	my $live = $node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object');
	is($objects->(), $live, "$name: the ledger has what is in the store");
	is(gc_actions($node), "kept $live", "$name: kept");
	$node->psql('postgres', 'BEGIN; REINDEX INDEX item_v; ROLLBACK');
	my $all = $objects->();
	cmp_ok($all, '>', $live, "$name: a failed build leaves garbage");
	is(gc_actions($node, 'true'), "kept $live, would remove " . ($all - $live), "$name: dry run");
	is(gc_actions($node), "kept $live, removed " . ($all - $live), "$name: collected");
	is($objects->(), $live, "$name: it has what the index needs");
	is($node->safe_psql('postgres', 'SET enable_seqscan = off; SELECT id FROM item ORDER BY v <-> vt.row(7, 16) LIMIT 1'),
		'7', "$name: a search reads it");
	$node->safe_psql('postgres', "SELECT vdb.adopt('$name')");
	is(gc_actions($node), "kept $live", "$name: adopted");
	# As another cluster would: its token is not the one that this database knows.
	$node->safe_psql('postgres', q{CREATE TABLE known AS SELECT * FROM vdb.store_owner});
	is(gc_actions($node), "kept $live", "$name: another collection");
	$node->safe_psql('postgres', q{UPDATE vdb.store_owner o SET token = k.token, pending = k.pending FROM known k
		WHERE o.server = k.server; DROP TABLE known});
	like(gc_error($node), qr/ERROR:  55000.*another cluster collects.*HINT:.*vdb\.adopt/s, "$name: contested");
	$node->safe_psql('postgres', "SELECT vdb.adopt('$name'); DROP INDEX item_v");
	return $live;
}

my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame');
$node->safe_psql('postgres', qq{
	CREATE SERVER portal FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}');
	CREATE USER MAPPING FOR postgres SERVER portal OPTIONS (auth_token 'sesame')});
my $blobs = sub { return scalar @{ $portal->command('GET', '/blobs') } };
$portal->set(allow_delete => \1);
my $live = life('portal', $blobs);
$portal->down;
is(gc_actions($node), "kept $live", 'portal: away, kept');
$portal->up;
$portal->set(allow_delete => \0);
# The breaker lets nobody through for a moment.
my $actions;
for (1 .. 100)
{
	last if ($actions = gc_actions($node)) !~ /kept/;
	Time::HiRes::usleep(100_000);
}
is($actions, "disabled $live", 'portal: it removes nothing');
is($node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object'), $live, 'portal: the rows stay');
$portal->set(allow_delete => \1);
# Several at a time, as many as the server's option allows, and what they were is the same.
$node->safe_psql('postgres', q{ALTER SERVER portal OPTIONS (ADD max_connections '3')});
$portal->set(latency_ms => 100);
$portal->forget;
is(gc_actions($node), "removed $live", 'portal: collected');
my $deletes = $portal->summary(method => 'DELETE');
$portal->set(latency_ms => 0);
is($deletes->{requests}, $live, 'portal: each object is removed once');
cmp_ok($deletes->{at_once}, '>', 1, 'portal: several at a time');
cmp_ok($deletes->{at_once}, '<=', 3, 'portal: within max_connections');
is($node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object'), 0, 'portal: and forgotten');
is($blobs->(), 0, 'portal: nothing is left');
# A check that is cut off takes its object away, which no ledger has, as far as it can.
$portal->fault('stall', ranged => \1, times => undef);
like(gc_error($node, q{SET statement_timeout = '3s'; SELECT * FROM vdb.store_check('portal')}), qr/ERROR:  57014/, 'portal: a check that is cut off');
$portal->clear_faults;
is($blobs->(), 0, 'portal: it has left nothing');
# A purge, which has only the ledger to go by.
my $build = 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = portal)';
my $purge = q{SELECT string_agg(DISTINCT action, ' ') || ' ' || count(*) FROM vdb.purge('portal')};
my $ledger = 'SELECT count(*) FROM vdb.object';
$node->safe_psql('postgres', $build);
like(gc_error($node, $purge), qr/ERROR:  2BP01.*item_v/s, 'portal: no purge while an index lives');
is($blobs->(), $node->safe_psql('postgres', $ledger), 'portal: it has what it had');
$node->safe_psql('postgres', 'DROP INDEX item_v');
$live = $blobs->();
$portal->set(allow_delete => \0);
is($node->safe_psql('postgres', $purge), "disabled $live", 'portal: it lets nothing be purged');
is($node->safe_psql('postgres', $ledger), $live, 'portal: that is known still');
$portal->set(allow_delete => \1);
is($node->safe_psql('postgres', $purge), "removed $live", 'portal: purged');
is($node->safe_psql('postgres', $ledger), 0, 'portal: purged and forgotten');
is($blobs->(), 0, 'portal: nothing is left of it');
$node->safe_psql('postgres', "$build; DROP INDEX item_v");
is($node->safe_psql('postgres', $purge =~ s/'portal'/'portal', true/r), "forgotten $live", 'portal: or it is only forgotten');
is($node->safe_psql('postgres', $ledger), 0, 'portal: the rows are gone');
is($blobs->(), $live, 'portal: the objects are not');
shows_no_secret($node, 'sesame');

SKIP:
{
	my $s3 = VdbStandin->start('s3_server.py') or skip $VdbStandin::unavailable, 1;
	$node->safe_psql('postgres', qq{
		CREATE SERVER bucket FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's3', endpoint '$s3->{url}', bucket '$s3->{bucket}',
			region '$s3->{region}', path_style 'true', prefix 'vdb/');
		CREATE USER MAPPING FOR postgres SERVER bucket
			OPTIONS (access_key_id '$s3->{access_key_id}', secret_access_key '$s3->{secret_access_key}')});
	my $kept = life('bucket', sub { $node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object') });
	# What the store will not do with one object says nothing of the others.
	$s3->fault('status', status => 409, method => 'DELETE', times => 1);
	my $reasons = gc($node);
	like($reasons, qr/^kept\|store "bucket", object "[^"]+": in conflict with another request \(HTTP 409/m, 'bucket: one is refused');
	is(scalar(() = $reasons =~ /^removed\|/mg), $kept - 1, 'bucket: the others are removed');
	is(gc_actions($node), 'removed 1', 'bucket: collected');
	is(gc($node), '', 'bucket: a listing shows nothing else');
	$s3->fault('status', status => 403, method => 'DELETE', times => undef);
	is($node->safe_psql('postgres', q{SELECT string_agg(step, ' ') FROM vdb.store_check('bucket') WHERE NOT ok}), 'remove',
		'bucket: a check that cannot remove its object');
	$s3->clear_faults;
	like(gc($node), qr/^kept\|1 objects of 307200 bytes are not in the ledger/, 'bucket: a listing shows it');
	is($node->safe_psql('postgres', q{SELECT action FROM vdb.purge('bucket')}), 'removed', 'bucket: it can be purged');
	shows_no_secret($node, 'sesame', $s3->{access_key_id}, $s3->{secret_access_key});
}
done_testing();
