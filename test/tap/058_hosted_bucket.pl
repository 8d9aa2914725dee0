# A bucket in the name of its host, which is how S3 is addressed by default: the whole life of an index there, and never a
# request that has the bucket in its path.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbGarbage;
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

my $s3 = VdbStandin->start('s3_server.py') or plan skip_all => $VdbStandin::unavailable;
my $node = new_node('hosted_bucket', conf => "autovacuum = off\nvdb.gc_retention = 0\nvdb.allow_http = on\n");
define_helpers($node);
# Below localhost every name is this machine.
(my $endpoint = $s3->{url}) =~ s/127[.]0[.]0[.]1/localhost/ or die $s3->{url};
$node->safe_psql('postgres', qq{
	CREATE TABLE item AS SELECT i AS id, vt.row(i, 16) AS v FROM generate_series(1, 5000) i;
	ALTER TABLE item ALTER v TYPE vector(16);
	CREATE SERVER hosted FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's3', endpoint '$endpoint', bucket '$s3->{bucket}',
		region '$s3->{region}', prefix 'vdb/');
	CREATE USER MAPPING FOR CURRENT_USER SERVER hosted
		OPTIONS (access_key_id '$s3->{access_key_id}', secret_access_key '$s3->{secret_access_key}')});
sub keys_there { return scalar grep { m{^vdb/.*[.](bin|json)$} } @{ $s3->command('GET', '/keys') }; }

is($node->safe_psql('postgres', q{SELECT bool_and(ok) FROM vdb.store_check('hosted')}), 't', 'a check of the store');
$node->safe_psql('postgres', 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = hosted, chunk_size = 1000)');
my $objects = $node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object');
is(keys_there(), $objects, 'a build stores its objects there');
my $search = q{SELECT string_agg(id::text, ',') FROM (SELECT id FROM item ORDER BY v <-> (SELECT v FROM item WHERE id = 7) LIMIT 10) s};
my $settings = 'SET enable_seqscan = off; SET enable_sort = off';
my $right = right_rows($node, $settings, $search);
$node->restart;
is($node->safe_psql('postgres', "$settings; $search"), $right, 'a cold search');
$node->psql('postgres', 'BEGIN; REINDEX INDEX item_v; ROLLBACK');
my $all = keys_there();
cmp_ok($all, '>', $objects, 'a failed build leaves garbage');
is(gc_actions($node), "kept $objects, removed " . ($all - $objects), 'which is collected');
is(keys_there(), $objects, 'and gone');
$node->safe_psql('postgres', 'DROP INDEX item_v');
is(gc_actions($node), "removed $objects", 'and the rest, with the index');
is(keys_there(), 0, 'nothing is left');
cmp_ok($s3->summary->{requests}, '>', 0, 'the server was asked');
is($s3->summary(path => "^/$s3->{bucket}(/|\$)")->{requests}, 0, 'never with the bucket in the path');
done_testing();
