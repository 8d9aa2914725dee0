# Builds stay within maintenance_work_mem, searching backends are small.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbStandin;
use VdbTest;

# Little shared memory, so that what a process touches is nearly all its own.
my $node = new_node('memory',
	conf => "shared_buffers = 4MB\nvdb.cache_size = 24MB\nmax_parallel_maintenance_workers = 0\nautovacuum = off\n"
	  . "vdb.allow_http = on\n");
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
# Real embeddings, whose codes at 16 MB have to be sorted on disk; few rows of many dimensions, of
# which the default 64 MB do not hold a thousand.
$node->safe_psql('postgres', q{
	CREATE TABLE wide (id int, embedding vector(16000));
	ALTER TABLE wide ALTER embedding SET STORAGE EXTERNAL;
	INSERT INTO wide SELECT i, (vt.row(i, 40)::real[] || array_fill(0.5::real, ARRAY[15960]))::vector
	FROM generate_series(1, 2500) i;
	CREATE TABLE middle (id int, embedding vector(3000));
	ALTER TABLE middle ALTER embedding SET STORAGE EXTERNAL;
	INSERT INTO middle SELECT i, (vt.row(i, 40)::real[] || array_fill(0.5::real, ARRAY[2960]))::vector
	FROM generate_series(1, 3000) i});
# A build's own memory is within maintenance_work_mem, but for what is on its way into a store. before: what else the session
# has done.
sub builds_within
{
	my ($mb, $ops, $table, $store, $before, $sent_mb) = @_;
	my $limit = (1.1 * $mb + ($sent_mb // 0)) * 1024;
	# The system now and then counts some pages more: the least of three tries is the build's.
	my $kb;
	foreach my $try (1 .. 3)
	{
		$kb = growth($before, "SET maintenance_work_mem = '${mb}MB'; CREATE INDEX i ON $table USING vdb (embedding $ops) WITH (store = $store);")
		  - $shared;
		$node->safe_psql('postgres', 'DROP INDEX i');
		last if $kb < $limit;
	}
	cmp_ok($kb, '<', $limit, "$ops on $table in ${mb}MB, store $store");
	return;
}
# What a build cannot do without (docs/operations.md) is 25 MB for wide.
foreach my $case ('gloss 8', 'gloss 16', 'gloss 32', 'gloss 64', 'middle 8', 'middle 16', 'wide 32', 'wide 64', 'wide 128')
{
	my ($table, $mb) = split / /, $case;
	foreach my $ops ('vector_l2_ops', 'vector_l1_ops')
	{
		next if $ops eq 'vector_l1_ops' && $case =~ /^wide (32|128)/;
		builds_within($mb, $ops, $table, 'local', $load);
	}
}

# Into a directory objects go one after the other. On a line that is slower than the build they would pile up, but for the
# bound: three chunks of an eighth of maintenance_work_mem. What opening a store takes is there before.
my $directory = $node->basedir . '/store';
mkdir $directory or die "mkdir: $!";
my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
$node->safe_psql('postgres', qq{
	CREATE SERVER dir FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$directory');
	CREATE SERVER portal FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER portal OPTIONS (auth_token 'sesame')});
$portal->set(bandwidth => 20_000_000);
foreach my $store ('dir', 'portal')
{
	my $opened = "$load SELECT count(*) FROM vdb.store_check('$store');";
	builds_within($_, 'vector_l2_ops', 'gloss', $store, $opened, $store eq 'portal' ? 3 * $_ / 8 : 0) foreach 16, 32;
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

$kb = growth('SET enable_seqscan = off; SET jit = off; SET work_mem = \'1MB\';',
	'SELECT count(*) FROM generate_series(1, 60) i, held_out q, LATERAL (SELECT id FROM gloss ORDER BY embedding <-> q.embedding LIMIT 3) n;');
cmp_ok($kb - $shared - 24 * 1024, '<', 16 * 1024, 'thirty thousand searches in one statement');

# Nothing grows from statement to statement.
my $batch = $searches . ' INSERT INTO gloss SELECT id + 100000, gloss, embedding FROM gloss WHERE id < 20;'
  . ' DELETE FROM gloss WHERE id >= 100000; REINDEX INDEX small_v; ';
$kb = growth('SET enable_seqscan = off; CREATE TEMP TABLE little (v vector(2)); INSERT INTO little SELECT ARRAY[i, 1]::vector FROM generate_series(1, 2500) i; CREATE INDEX small_v ON little USING vdb (v);'
	  . $batch x 3, $batch x 12);
cmp_ok($kb, '<', 4 * 1024, 'no leak');
$node->stop;
done_testing();
