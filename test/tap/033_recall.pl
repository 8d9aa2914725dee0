# Recall on the real embeddings, nothing tuned: every metric and element type, filters, plain and far
# queries, shifted and repeated data. Truth is the same query without the index, by distance.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbTest;

my $node = new_node('recall', conf => "max_parallel_maintenance_workers = 1\nautovacuum = off\njit = off\n"
	  . "max_parallel_workers_per_gather = 0\n");
load_gloss($node);
load_queries($node);
$node->safe_psql('postgres', q{
	ALTER TABLE gloss ADD half halfvec(512);
	UPDATE gloss SET half = embedding;
	VACUUM FULL ANALYZE gloss;
	-- Mean recall at ten over the queries, its 5th percentile, and whether every limit was filled.
	CREATE FUNCTION recall(relation text, expression text, op text, cast_to text, queries text, filter text DEFAULT 'true',
	  OUT mean numeric, OUT worst numeric, OUT filled boolean, OUT sorted boolean) LANGUAGE plpgsql AS $$
	DECLARE q text; truth float8[]; got float8[]; recalls numeric[] := '{}'; query text;
	BEGIN
	  filled := true;
	  sorted := true;
	  FOR q IN EXECUTE queries LOOP
	    query := format('SELECT array_agg(d) FROM (SELECT %1$s %2$s %3$L::%4$s AS d FROM %5$s WHERE %6$s ORDER BY %1$s %2$s %3$L::%4$s LIMIT 10) s',
	      expression, op, q, cast_to, relation, filter);
	    PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
	    EXECUTE query INTO truth;
	    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true);
	    EXECUTE query INTO got;
	    filled := filled AND cardinality(got) = cardinality(truth);
	    sorted := sorted AND got = ARRAY(SELECT d FROM unnest(got) d ORDER BY d);
	    recalls := recalls || (SELECT count(*)::numeric / cardinality(truth) FROM unnest(got) d
	      WHERE d <= truth[cardinality(truth)] + abs(truth[cardinality(truth)]) * 1e-6);
	  END LOOP;
	  SELECT round(avg(r), 3), percentile_disc(0.05) WITHIN GROUP (ORDER BY round(r, 1)) INTO mean, worst FROM unnest(recalls) r;
	END $$});

sub recall_is
{
	my ($name, $least, $arguments) = @_;
	my ($mean, $worst, $filled, $sorted) =
	  split /\|/, $node->safe_psql('postgres', "SELECT * FROM recall($arguments)");
	note "$name: $mean, 5th percentile $worst";
	cmp_ok($mean, '>=', $least, "$name: recall");
	is("$filled $sorted", 't t', "$name: limits are filled, in order");
	return;
}

my $some = q{'SELECT embedding::text FROM held_out WHERE id % 5 = 0'};
my $few = q{'SELECT embedding::text FROM held_out WHERE id % 10 = 0'};
foreach my $type ('vector', 'halfvec')
{
	my $column = $type eq 'vector' ? 'embedding' : 'half';
	foreach my $metric ('l2 <->', 'ip <#>', 'cosine <=>', 'l1 <+>')
	{
		my ($name, $op) = split / /, $metric;
		$node->safe_psql('postgres', "CREATE INDEX i ON gloss USING vdb ($column ${type}_${name}_ops)");
		recall_is("$type $name", 0.95, "'gloss', '$column', '$op', '$type', $some");
		if ($type eq 'vector' && $name ne 'ip')
		{
			# 10 %, 1 % and 0.1 % of the rows.
			foreach my $share (10, 100, 1000)
			{
				recall_is("$type $name, one row in $share", $share == 1000 ? 0.94 : 0.95,
					"'gloss', '$column', '$op', '$type', $few, 'id % $share = 7'");
			}
		}
		$node->safe_psql('postgres', 'DROP INDEX i');
	}
}

foreach my $bits (1, 3, 8)
{
	$node->safe_psql('postgres', "CREATE INDEX i ON gloss USING vdb (embedding) WITH (code_bits = $bits)");
	recall_is("$bits bits", 0.95, "'gloss', 'embedding', '<->', 'vector', $few");
	$node->safe_psql('postgres', 'DROP INDEX i');
}

# Higher and lower targets mean what they say.
foreach my $target (0.8, 0.99)
{
	$node->safe_psql('postgres', "SET vdb.recall_target = $target; CREATE INDEX i ON gloss USING vdb (embedding)");
	recall_is("a target of $target", $target - 0.01, "'gloss', 'embedding', '<->', 'vector', $some");
	$node->safe_psql('postgres', 'DROP INDEX i');
}

# Half of the rows come after the build; a quarter of all is then deleted and vacuumed.
$node->safe_psql('postgres', q{
	CREATE TABLE later (id int, embedding vector(512));
	INSERT INTO later SELECT id, embedding FROM gloss WHERE id % 2 = 0;
	CREATE INDEX ON later USING vdb (embedding);
	INSERT INTO later SELECT id, embedding FROM gloss WHERE id % 2 = 1});
recall_is('half inserted later', 0.95, "'later', 'embedding', '<->', 'vector', $few");
$node->safe_psql('postgres', 'DELETE FROM later WHERE id % 4 = 0');
$node->safe_psql('postgres', 'VACUUM ANALYZE later');
recall_is('a quarter deleted', 0.95, "'later', 'embedding', '<->', 'vector', $few");
$node->safe_psql('postgres', 'DROP TABLE later');

# Other data and other queries.
$node->safe_psql('postgres', q{
	CREATE FUNCTION uniform(i bigint, dims int) RETURNS vector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	  SELECT array_agg(((hashint8extended(i * 20000 + j, 42) & 1048575) / 1048576.0)::real ORDER BY j)::vector
	  FROM generate_series(1, dims) j $$;
	CREATE TABLE shifted AS SELECT id, (embedding + array_fill(20::real, ARRAY[512])::vector)::vector(512) AS v FROM gloss;
	CREATE INDEX ON shifted USING vdb (v);
	CREATE TABLE repeated AS SELECT id, (CASE WHEN id % 100 < 2 THEN (SELECT embedding FROM gloss WHERE id = 0) ELSE embedding END)::vector(512) AS v FROM gloss;
	CREATE INDEX ON repeated USING vdb (v);
	CREATE TABLE even AS SELECT i AS id, uniform(i, 64)::vector(64) AS v FROM generate_series(1, 30000) i;
	CREATE INDEX ON even USING vdb (v);
	ANALYZE});
recall_is('far from the origin', 0.95, q{'shifted', 'v', '<->', 'vector',
	'SELECT (embedding + array_fill(20::real, ARRAY[512])::vector)::text FROM held_out WHERE id % 10 = 0'});
recall_is('with repetitions', 0.95, "'repeated', 'v', '<->', 'vector', $few");
recall_is('uniform data', 0.94, q{'even', 'v', '<->', 'vector', 'SELECT uniform(-i, 64)::text FROM generate_series(1, 60) i'});
# Queries of another kind than the rows.
$node->safe_psql('postgres', 'CREATE INDEX i ON gloss USING vdb (embedding)');
recall_is('noise as queries', 0.95, q{'gloss', 'embedding', '<->', 'vector',
	'SELECT l2_normalize(uniform(-i, 512) - array_fill(0.5::real, ARRAY[512])::vector)::text FROM generate_series(1, 50) i'});
recall_is('noisy queries', 0.95, q{'gloss', 'embedding', '<->', 'vector',
	'SELECT (embedding + uniform(-id, 512) * array_fill(0.1::real, ARRAY[512])::vector)::text FROM held_out WHERE id % 10 = 0'});
$node->stop;
done_testing();
