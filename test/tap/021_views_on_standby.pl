# A standby shows and checks the primary's indexes, but for unlogged ones, while they change.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbTest;

my $primary = new_node('primary', allows_streaming => 1, conf => "autovacuum = off\nhot_standby_feedback = on");
$primary->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(32)) WITH (autovacuum_enabled = off);
	INSERT INTO item SELECT i, (SELECT array_agg(((hashint8extended(i * 100 + j, 7) & 65535) / 65536.0
			+ i % 10)::real) FROM generate_series(1, 32) j)::vector
		FROM generate_series(1, 5000) i;
	CREATE INDEX item_v ON item USING vdb (v);
	CREATE UNLOGGED TABLE fleeting (v vector(3));
	INSERT INTO fleeting VALUES ('[1,2,3]');
	CREATE INDEX fleeting_v ON fleeting USING vdb (v)});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $view = 'SELECT * FROM vdb.stat_index ORDER BY indexname';
my $check = "SELECT * FROM vdb.check('item_v', true)";
foreach my $change ('SELECT 1', 'INSERT INTO item SELECT id + 10000, v FROM item LIMIT 300',
	'DELETE FROM item WHERE id % 4 = 0', 'VACUUM (INDEX_CLEANUP ON) item', 'REINDEX INDEX item_v')
{
	$primary->safe_psql('postgres', $change);
	$primary->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', $view), $primary->safe_psql('postgres', "$view DESC LIMIT 1"),
		"the view, after $change");
	is($standby->safe_psql('postgres', $check), $primary->safe_psql('postgres', $check),
		"the check in full, after $change");
}
is($standby->safe_psql('postgres', "SELECT count(*) > 1 FROM vdb.index_objects('item_v')"), 't', 'objects');
foreach my $function ('index_stats', 'index_objects', 'check')
{
	my ($code, $out, $err) = $standby->psql('postgres', "SELECT vdb.$function('fleeting_v')");
	like($err, qr/ERROR:  cannot access temporary or unlogged indexes during recovery/,
		"$function of an unlogged index");
}

# Checks beside the replay of inserts and vacuum.
my $writer = $primary->background_psql('postgres');
$writer->query_until(qr/go/, q{\echo go
SELECT 'INSERT INTO item SELECT id, v FROM item LIMIT 500', 'DELETE FROM item WHERE id % 9 = ' || i % 9,
	'VACUUM (INDEX_CLEANUP ON) item' FROM generate_series(1, 40) i \gexec
\echo done
});
my $wrong = 0;
foreach my $i (1 .. 30)
{
	my ($code, $out, $err) = $standby->psql('postgres', $i % 2 ? $check : "SELECT vdb.check('item_v')");
	next if $code == 0;
	# Replay may cancel it; that is no finding.
	next if $err =~ /conflict with recovery/;
	$wrong++;
	diag($err);
}
is($wrong, 0, 'no false alarm while changes are replayed');
$writer->quit;
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $check), $primary->safe_psql('postgres', $check), 'both agree in the end');

$standby->stop;
$primary->stop;
done_testing();
