# Room in the delta outlives its free space map, which is not WAL-logged: a crash or a promotion may
# take the map, and the next VACUUM that visits the index makes it anew.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbTest;

my $node = new_node('space', conf => "autovacuum = off\n");
define_helpers($node);

sub delta_bytes
{
	return $node->safe_psql('postgres', q{SELECT delta_bytes FROM vdb.stat_index WHERE indexname = 'item_v'});
}

$node->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(16));
	CREATE INDEX item_v ON item USING vdb (v);
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 20000) i;
	DELETE FROM item WHERE id > 500;
	VACUUM item});
my $map = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('item_v')}) . '_fsm';
$node->stop;
ok(-s $map, 'VACUUM makes a free space map');
unlink $map or die $!;
$node->start;
my $before = delta_bytes();
# Only the last rows, so that the pages with room have none that is dead.
$node->safe_psql('postgres', q{
	DELETE FROM item WHERE id > 490;
	VACUUM item;
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1001, 16000) i});
is(delta_bytes(), $before, 'rows go where there is room, after the map was lost');
index_is_whole($node, 'item', 'item_v', 'v', 'vt.row(1, 16)', 'after that');
$node->stop;
done_testing();
