# The module works with and without shared_preload_libraries, on real vectors.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbTest;

foreach my $preload (0, 1)
{
	my $with = $preload ? 'with preload' : 'without preload';
	my $node = new_node("preload_$preload", preload => $preload);
	load_gloss($node);
	load_queries($node);

	is($node->safe_psql('postgres', 'SELECT count(*), sum(vector_dims(embedding)) FROM gloss'),
		'20000|10240000', "$with: every embedding arrives");

	# The embeddings have unit length up to the rounding of binary16.
	is($node->safe_psql('postgres',
			'SELECT count(*) FROM gloss WHERE abs(vector_norm(embedding) - 1) > 0.002'),
		'0', "$with: the embeddings have unit length");

	# The exact nearest of a row is the row.
	is($node->safe_psql('postgres', q{
			SELECT id FROM gloss ORDER BY embedding <-> (SELECT embedding FROM gloss WHERE id = 4711)
			LIMIT 1}),
		'4711', "$with: a row is its own nearest");
	$node->stop;
}

done_testing();
