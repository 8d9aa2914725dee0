# Builds stay within maintenance_work_mem, searching backends are small.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbTest;

# Little shared memory, so that what a process touches is nearly all its own.
my $node = new_node('memory',
	conf => "shared_buffers = 4MB\nvdb.cache_size = 24MB\nmax_parallel_maintenance_workers = 0\nautovacuum = off\n");
define_helpers($node);
load_gloss($node);
load_queries($node);

# Peak resident memory in kB of a session after `sql`, over the peak after `before`. Peaks count what
# is shared, too.
sub growth
{
	my ($before, $sql) = @_;
	my $out = $node->safe_psql('postgres', qq{
		CREATE TEMP TABLE peak (line text);
		$before
		DO \$\$ BEGIN
		  EXECUTE format('COPY peak FROM PROGRAM %L', 'grep VmHWM /proc/' || pg_backend_pid() || '/status') || ' DELIMITER '';''';
		END \$\$;
		$sql
		DO \$\$ BEGIN
		  EXECUTE format('COPY peak FROM PROGRAM %L', 'grep VmHWM /proc/' || pg_backend_pid() || '/status') || ' DELIMITER '';''';
		END \$\$;
		SELECT 'peak ' || string_agg((regexp_match(line, '\\d+'))[1], ' ' ORDER BY line COLLATE "C") FROM peak});
	my ($low, $high) = $out =~ /peak (\d+) (\d+)/ or die $out;
	note "from $low to $high kB";
	return $high - $low;
}

# What a backend needs before it builds anything of size.
my $load = q{CREATE TEMP TABLE small AS SELECT ARRAY[i, 1]::vector(2) AS v FROM generate_series(1, 3000) i;
	CREATE INDEX ON small USING vdb (v); SELECT count(*) FROM gloss;};
my $shared = 4 * 1024;
foreach my $mb (16, 32, 64)
{
	foreach my $ops ('vector_l2_ops', 'vector_l1_ops')
	{
		my $kb = growth($load, "SET maintenance_work_mem = '${mb}MB'; CREATE INDEX gloss_$mb ON gloss USING vdb (embedding $ops);");
		cmp_ok($kb - $shared, '<', 1.1 * $mb * 1024, "$ops in ${mb}MB");
		$node->safe_psql('postgres', "DROP INDEX gloss_$mb");
	}
}
$node->safe_psql('postgres', 'CREATE INDEX gloss_l2 ON gloss USING vdb (embedding)');

# A search's own memory; the cache is shared.
my $query = q{(SELECT embedding FROM held_out WHERE id = %d)};
my $searches = join ' ', map { "SELECT id FROM gloss ORDER BY embedding <-> " . sprintf($query, $_) . ' LIMIT 10;' } 1 .. 100;
my $kb = growth('SET enable_seqscan = off;', $searches);
cmp_ok($kb - $shared - 24 * 1024, '<', 16 * 1024, 'a hundred searches');
$kb = growth('SET enable_seqscan = off;',
	'SELECT count(*) FROM (SELECT id FROM gloss ORDER BY embedding <-> ' . sprintf($query, 1) . ' OFFSET 0) s;');
cmp_ok($kb - $shared - 24 * 1024, '<', 16 * 1024, 'a search for all rows');

# Nothing grows from statement to statement.
my $batch = $searches . ' INSERT INTO gloss SELECT id + 100000, gloss, embedding FROM gloss WHERE id < 20;'
  . ' DELETE FROM gloss WHERE id >= 100000; REINDEX INDEX small_v; ';
$kb = growth('SET enable_seqscan = off; CREATE TEMP TABLE little (v vector(2)); INSERT INTO little SELECT ARRAY[i, 1]::vector FROM generate_series(1, 2500) i; CREATE INDEX small_v ON little USING vdb (v);'
	  . $batch x 3, $batch x 12);
cmp_ok($kb, '<', 4 * 1024, 'no leak');
$node->stop;
done_testing();
