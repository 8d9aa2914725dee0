# What the TAP tests share: clusters with the module preloaded, and the WordNet embeddings.
package VdbTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(new_node load_gloss load_queries);

# A started node with the extension in database postgres. Options: conf (lines for postgresql.conf),
# preload (default 1), and those of PostgreSQL::Test::Cluster's init (allows_streaming, ...).
sub new_node
{
	my ($name, %options) = @_;
	my $conf = delete $options{conf} // '';
	my $preload = delete $options{preload} // 1;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%options);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vdb_ext'") if $preload;
	$node->append_conf('postgresql.conf', $conf);
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION vdb_ext');
	return $node;
}

sub copy_in
{
	my ($node, $table, @files) = @_;
	my $test = $ENV{VDB_TEST};
	my $files = join ' ', map { "'$test/data/$_'" } @files;
	my $psql = "psql -X -q -v ON_ERROR_STOP=1 -d '" . $node->connstr('postgres') . "'";
	system_or_bail('sh', '-c',
		"python3 '$test/tools/npy_copy.py' $files | $psql -c 'COPY $table FROM STDIN (FORMAT binary)'");
	return;
}

# Table gloss (id, gloss, embedding vector(512)) with the first n of the 20,000 (default: all).
sub load_gloss
{
	my ($node, $rows) = @_;
	$node->safe_psql('postgres',
		'CREATE TABLE gloss (id int PRIMARY KEY, gloss text, embedding vector(512))');
	copy_in($node, 'gloss', 'wordnet-use512-20k.npy', 'wordnet-20k.tsv');
	$node->safe_psql('postgres', "DELETE FROM gloss WHERE id >= $rows") if defined $rows;
	$node->safe_psql('postgres', 'VACUUM ANALYZE gloss');
	return;
}

# Table held_out (id, embedding vector(512)): 500 queries that are not in gloss.
sub load_queries
{
	my ($node) = @_;
	$node->safe_psql('postgres',
		'CREATE TABLE held_out (id int PRIMARY KEY, embedding vector(512))');
	copy_in($node, 'held_out', 'wordnet-use512-queries.npy');
	return;
}

1;
