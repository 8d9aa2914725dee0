# What the tests of garbage collection share: stores in a directory, and what is in them.
package VdbGarbage;

use strict;
use warnings;

use Exporter 'import';
use File::Find ();
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_store objects gc gc_actions gc_error is_clean hold_ledger);

# A directory for a store that outlives a node.
sub new_store
{
	my ($name) = @_;
	my $path = "$ENV{TESTDIR}/$name";
	mkdir $path or die "$path: $!";
	return $path;
}

# Names of the objects in a store, manifests among them, or their number.
sub objects
{
	my ($path) = @_;
	my @found;
	File::Find::find(
		{ no_chdir => 1, wanted => sub { push @found, substr($_, length($path) + 1) if /\.(bin|json)$/ && -f $_ } }, $path);
	@found = sort @found;
	return wantarray ? @found : scalar @found;
}

# vdb.gc() as action|reason lines.
sub gc
{
	my ($node, $arguments, $database) = @_;
	$arguments //= '';
	return $node->safe_psql($database // 'postgres', "SELECT action, reason FROM vdb.gc($arguments)");
}

# How often each action was taken: "kept 3, removed 7".
sub gc_actions
{
	my ($node, $arguments, $database) = @_;
	$arguments //= '';
	return $node->safe_psql($database // 'postgres',
		"SELECT string_agg(action || ' ' || n, ', ' ORDER BY action)"
		  . " FROM (SELECT action, count(*) AS n FROM vdb.gc($arguments) GROUP BY action) a");
}

# SQLSTATE, message and hint of vdb.gc(), or of other SQL, that fails.
sub gc_error
{
	my ($node, $sql, $database) = @_;
	my ($code, $out, $err) = $node->psql($database // 'postgres', $sql // 'SELECT * FROM vdb.gc()',
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	isnt($code, 0, 'refused: ' . ($sql // 'vdb.gc()'));
	return $err;
}

# The ledger has a row for each object of the store and no other, and indexes use all of them; each
# also has a manifest.
sub is_clean
{
	my ($node, $path, $name) = @_;
	my $ledger = $node->safe_psql('postgres', 'SELECT name FROM vdb.object');
	is(join("\n", sort split /\n/, $ledger), join("\n", objects($path)), "$name: the ledger is what is in the store");
	my $used = $node->safe_psql('postgres', q{
		SELECT count(*) + count(DISTINCT c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		CROSS JOIN LATERAL vdb.index_objects(c.oid) WHERE a.amname = 'vdb' AND indisvalid});
	is(scalar objects($path), $used, "$name: it has the indexes' objects and no other");
	return;
}

# A session that keeps the ledger from being written until it is finished.
sub hold_ledger
{
	my ($node) = @_;
	my $session = $node->background_psql('postgres');
	$session->query_safe('BEGIN; LOCK TABLE vdb.object IN EXCLUSIVE MODE');
	return $session;
}

1;
