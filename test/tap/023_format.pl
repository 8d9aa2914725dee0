# The relation files of local indexes are read by a program that was written from docs/format.md alone
# (test/tools/index_reader.py): pages, directory, keys, frames, documents, TIDs, codes and their
# estimates are what the page says, and hold the table's rows.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbTest;

my $keys = "$ENV{TESTDIR}/keys";
append_to_file($keys, "old:" . '17' x 32 . "\n");
chmod 0600, $keys;
my $node = new_node('format', conf => "autovacuum = off\nvdb.master_key_file = '$keys'\n");
define_helpers($node);
# 130 dimensions are 192 padded: the rotation has a part that is no power of two.
$node->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(130)) WITH (autovacuum_enabled = off);
	INSERT INTO item SELECT i, vt.row(i, 130) FROM generate_series(1, 2300) i;
	CREATE INDEX l2 ON item USING vdb (v) WITH (chunk_size = 1000, store_vectors = on);
	CREATE INDEX ip ON item USING vdb (v vector_ip_ops) WITH (code_bits = 8);
	CREATE INDEX cosine ON item USING vdb (v vector_cosine_ops) WITH (code_bits = 1, encrypt_at_rest = off);
	CREATE INDEX half ON item USING vdb ((v::halfvec(130)) halfvec_l2_ops) WITH (code_bits = 4, store_vectors = on);
	DELETE FROM item WHERE id % 10 = 0;
	VACUUM (INDEX_CLEANUP ON) item;
	INSERT INTO item SELECT i, vt.row(i, 130) FROM generate_series(3001, 3400) i;
	CHECKPOINT;
	CREATE TABLE query (number int, q vector(130));
	INSERT INTO query VALUES (1, vt.row(-1, 130)), (2, vt.row(77, 130))});
my $queries = $node->safe_psql('postgres', q{SELECT trim(q::text, '[]') FROM query ORDER BY number}) . "\n";

# The reader's exit status, output and complaint.
sub read_index
{
	my ($index, $key_file) = @_;
	my $file = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$index')");
	my @command = ('python3', "$ENV{VDB_TEST}/tools/index_reader.py", $file, $key_file);
	IPC::Run::run(\@command, '<', \$queries, '>', \my $out, '2>', \my $err);
	return ($? >> 8, $out, $err);
}

# What each index measures, the least correlation with it of estimates by its number of bits, and the vectors
# it stores. (Another order of rows, dimensions or bits gives none. Fresh rows have 1 bit: .77 to .93.)
my %indexes = (
	l2 => [ '(v <-> q) ^ 2', 0.995, 'vector_send(v)' ],
	ip => [ 'v <#> q', 0.9999, undef ],
	cosine => [ '2 * (v <=> q)', 0.75, undef ],
	half => [ '(v <-> q) ^ 2', 0.99, 'halfvec_send(v::halfvec)' ]);
foreach my $index (sort keys %indexes)
{
	my ($truth, $correlation, $send) = @{ $indexes{$index} };
	my ($status, $out, $err) = read_index($index, $keys);
	is("$status $err", '0 ', "$index: is read to its end") or next;
	my $lines = "$ENV{TESTDIR}/$index";
	append_to_file($lines, $out);
	$node->safe_psql('postgres', qq{
		DROP TABLE IF EXISTS found CASCADE;
		CREATE TABLE found (block int, off int, dead bool, place int, vector text,
			estimate1 float8, bound1 float8, estimate2 float8, bound2 float8);
		COPY found FROM '$lines' (DELIMITER ' ');
		CREATE OR REPLACE VIEW live AS
			SELECT format('(%s,%s)', block, off)::tid AS at, * FROM found WHERE NOT dead;
		CREATE OR REPLACE VIEW estimated AS
			SELECT number, place, $truth AS truth, e.* FROM item JOIN live ON at = item.ctid, query,
				LATERAL (SELECT CASE number WHEN 1 THEN estimate1 ELSE estimate2 END AS estimate,
					CASE number WHEN 1 THEN bound1 ELSE bound2 END AS bound) e});
	is($node->safe_psql('postgres', q{
		SELECT count(*), count(item.ctid), count(at), count(*) FILTER (WHERE place = -1)
		FROM item FULL JOIN live ON at = item.ctid}), '2470|2470|2470|400', "$index: each row once, 400 of them fresh");
	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT place) = (SELECT lists FROM vdb.index_stats('$index'))"
		  . ' FROM found WHERE dead OR place >= 0'), '2300|t', "$index: dead rows, too, in all lists");
	my ($lists, $bounds, $fresh) = split /\|/, $node->safe_psql('postgres', q{
		SELECT min(lists), min(bounds), min(fresh) FROM (
			SELECT corr(estimate, truth) FILTER (WHERE place >= 0) AS lists, avg((bound <= truth)::int) FILTER (WHERE place >= 0) AS bounds,
				corr(estimate, truth) FILTER (WHERE place = -1) AS fresh FROM estimated GROUP BY number) e});
	note("$index: correlation of estimates and distances $lists, of fresh rows $fresh; bounds that hold $bounds");
	cmp_ok($lists, '>', $correlation, "$index: codes give distances");
	cmp_ok($fresh, '>', 0.7, "$index: fresh rows' codes give distances");
	cmp_ok($bounds, '>', 0.93, "$index: lower bounds hold but for few rows");
	is($node->safe_psql('postgres', $send
		? "SELECT count(*) FROM item JOIN live ON at = item.ctid WHERE place >= 0 AND vector = encode(substr($send, 5), 'hex')"
		: "SELECT count(*) FROM live WHERE place >= 0 AND vector = '-'"), '2070',
		$send ? "$index: has the vectors, byte for byte" : "$index: has no vectors");
}

# With another key nothing is read.
my $wrong = "$ENV{TESTDIR}/wrong";
append_to_file($wrong, "old:" . '18' x 32 . "\n");
my ($status, $out, $err) = read_index('l2', $wrong);
is($status, 1, 'another master key does not open an index');
like($err, qr/authentication failed/, 'nor is anything of it shown');
is($out, '', 'not a row');
is((read_index('cosine', $wrong))[0], 0, 'one that is not encrypted needs none');
$node->stop;
done_testing();
