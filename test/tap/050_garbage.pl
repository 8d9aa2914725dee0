# What builds and drops leave in a store goes with vdb.gc(), and nothing else does.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbGarbage;
use VdbIndex;
use VdbTest;

my $node = new_node('garbage',
	conf => "autovacuum = off\nmax_prepared_transactions = 4\nvdb.gc_retention = 0\nmax_parallel_maintenance_workers = 2\n");
define_helpers($node);
my $path = new_store('store');
$node->safe_psql('postgres', qq{
	CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path');
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 5000) i;
	CREATE INDEX item_v ON item USING vdb (v) WITH (store = archive, chunk_size = 1000)});
my $live = objects($path);
cmp_ok($live, '>', 5, 'an index has objects');
is_clean($node, $path, 'built');
my $with = 'USING vdb (v) WITH (store = archive, chunk_size = 1000)';
my $index = "CREATE INDEX other_v ON item $with";

sub collected
{
	my ($name, $left) = @_;
	my $garbage = objects($path) - $left;
	cmp_ok($garbage, '>', 0, "$name: there is garbage");
	is(gc_actions($node, 'true'), "kept $left, would remove $garbage", "$name: dry run");
	is(objects($path), $left + $garbage, "$name: a dry run removes nothing");
	is(gc_actions($node), "kept $left, removed $garbage", "$name: collected");
	is_clean($node, $path, $name);
	return;
}

$node->psql('postgres', "BEGIN; $index; ROLLBACK");
collected('rolled back', $live);
$node->psql('postgres', "BEGIN; SAVEPOINT s; $index; ROLLBACK TO s; COMMIT");
like(gc($node, 'true'), qr/would remove\|the build that made it failed/, 'a savepoint rolled back: a failed build');
collected('savepoint rolled back', $live);
$node->psql('postgres', "BEGIN; SAVEPOINT s; $index; RELEASE s; ROLLBACK");
collected('savepoint released, rolled back', $live);
$node->safe_psql('postgres', "$index; DROP INDEX other_v");
collected('DROP INDEX', $live);
$node->safe_psql('postgres', 'REINDEX INDEX item_v');
collected('REINDEX', $live);
$node->psql('postgres', 'BEGIN; REINDEX INDEX item_v; ROLLBACK');
collected('REINDEX rolled back', $live);
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY item_v');
collected('REINDEX CONCURRENTLY', $live);
$node->safe_psql('postgres', 'VACUUM FULL item');
collected('VACUUM FULL', $live);
$node->safe_psql('postgres', "CREATE INDEX CONCURRENTLY other_v ON item $with");
is(gc_actions($node), 'kept ' . 2 * $live, 'CREATE INDEX CONCURRENTLY: all of it is kept');
$node->safe_psql('postgres', 'DROP INDEX CONCURRENTLY other_v');
collected('DROP INDEX CONCURRENTLY', $live);
$node->safe_psql('postgres', qq{
	CREATE TABLE two (id int, v vector(16));
	INSERT INTO two SELECT * FROM item;
	CREATE INDEX two_v ON two $with;
	TRUNCATE two});
collected('TRUNCATE', $live);
$node->safe_psql('postgres', 'INSERT INTO two SELECT * FROM item; REINDEX TABLE two');
$node->psql('postgres', 'BEGIN; TRUNCATE two; ROLLBACK');
is(gc_actions($node), 'kept ' . objects($path), 'TRUNCATE rolled back: kept');
$node->safe_psql('postgres', 'ALTER TABLE two ALTER v TYPE vector(16) USING v');
is(gc_actions($node), 'kept ' . objects($path), 'an index whose pages were handed on is kept');
$node->safe_psql('postgres', 'DROP TABLE two');
collected('DROP TABLE', $live);
is($node->safe_psql('postgres', q{
	SET max_parallel_maintenance_workers = 2; SET min_parallel_table_scan_size = 0;
	SET min_parallel_index_scan_size = 0; SET parallel_setup_cost = 0;
	ALTER TABLE item SET (parallel_workers = 2)} . ";CREATE INDEX CONCURRENTLY other_v ON item $with;"
	  . 'SELECT count(DISTINCT builder) FROM vdb.object'), '2', 'a parallel concurrent build has a transaction id');
is_clean($node, $path, 'built in parallel');
$node->safe_psql('postgres', 'ALTER TABLE item RESET (parallel_workers); DROP INDEX other_v');
collected('built in parallel', $live);

# What is not over yet.
my $session = $node->background_psql('postgres');
$session->query_safe("BEGIN; $index");
my $all = objects($path);
cmp_ok($all, '>', $live, 'a build in a transaction has stored its objects');
is(gc_actions($node), "kept $all", 'in progress: kept');
like(gc($node), qr/transaction \d+, which builds an index of it, has not ended/, 'and it says so');
$session->query_safe("PREPARE TRANSACTION 'built'");
is(gc_actions($node), "kept $all", 'prepared: kept');
$node->restart;
is(gc_actions($node), "kept $all", 'prepared, after a restart: kept');
$node->safe_psql('postgres', "COMMIT PREPARED 'built'");
is(gc_actions($node), "kept $all", 'prepared and committed: kept');
is_clean($node, $path, 'committed');
$node->safe_psql('postgres', "DROP INDEX other_v; BEGIN; $index; PREPARE TRANSACTION 'not built'");
is(gc_actions($node), "kept $all, removed " . ($all - $live), 'another one is prepared');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'not built'");
collected('ROLLBACK PREPARED', $live);

# An index that somebody has locked may be rebuilt, or handed on.
$session = $node->background_psql('postgres');
$node->safe_psql('postgres', "$index; DROP INDEX other_v");
$session->query_safe('BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE; REINDEX INDEX item_v');
$all = objects($path);
is(gc_actions($node), "kept $all", 'nothing goes while an index is locked');
like(gc($node), qr/another session has locked index "item_v"/, 'and it says so');
$session->query_safe('ROLLBACK');
collected('unlocked', $live);

# Searches that go on, and snapshots that are older than a rebuild: REINDEX CONCURRENTLY drops what it replaces when they have ended.
{
	my $order = 'FROM item ORDER BY v <-> vt.row(7, 16)';
	my $nearest = "SELECT string_agg(id::text, ' ') FROM (SELECT id $order LIMIT 2000) s";
	my $rows = $node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; $nearest");
	my ($cursor, $snapshot) = map { $node->background_psql('postgres') } 1 .. 2;
	$_->query_safe('SET enable_seqscan = off; SET enable_sort = off; BEGIN ISOLATION LEVEL REPEATABLE READ') foreach $cursor, $snapshot;
	$cursor->query_safe("DECLARE c CURSOR FOR SELECT id $order");
	my $read = $cursor->query_safe('FETCH 5 FROM c');
	$snapshot->query_safe('SELECT 1 FROM pg_class LIMIT 1');
	my $rebuild = start_sql($node, 'REINDEX INDEX CONCURRENTLY item_v');
	wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'});
	$all = objects($path);
	cmp_ok($all, '>', $live, 'REINDEX CONCURRENTLY beside searches: it has built');
	$node->safe_psql('postgres', "DELETE FROM item WHERE id = (SELECT id $order OFFSET 6 LIMIT 1)");
	unlike(gc_actions($node), qr/removed/, 'REINDEX CONCURRENTLY beside searches: nothing goes');
	$read .= "\n" . $cursor->query_safe('FETCH 1995 FROM c');
	is(join(' ', split /\n/, $read), $rows, 'REINDEX CONCURRENTLY beside searches: a cursor has its rows');
	is($snapshot->query_safe($nearest), $rows, 'REINDEX CONCURRENTLY beside searches: so has an older snapshot');
	$_->quit foreach $cursor, $snapshot;
	is((finish_sql($rebuild))[1], '', 'REINDEX CONCURRENTLY beside searches: it ends when they have');
	collected('REINDEX CONCURRENTLY beside searches', $live);
}

# What an index depends on, when REINDEX CONCURRENTLY has swapped it and ALTER TABLE has handed on the pages.
my $path_b = new_store('store_b');
my $depends = q{SELECT coalesce(string_agg(srvname, ' '), '-') FROM pg_depend d JOIN pg_foreign_server s ON s.oid = refobjid
	WHERE refclassid = 'pg_foreign_server'::regclass AND classid = 'pg_class'::regclass AND objid = 'other_v'::regclass};
$node->safe_psql('postgres', "CREATE SERVER b FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path_b')");
$node->safe_psql('postgres', "$index;");
$node->safe_psql('postgres', 'ALTER INDEX other_v SET (store = b)');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY other_v');
wait_until($node, "SELECT ($depends) = 'b'");
pass('after REINDEX CONCURRENTLY to another store');
# As it is before a worker has mended it.
$node->safe_psql('postgres', q{UPDATE pg_depend SET refobjid = (SELECT oid FROM pg_foreign_server WHERE srvname = 'archive')
	WHERE refclassid = 'pg_foreign_server'::regclass AND classid = 'pg_class'::regclass AND objid = 'other_v'::regclass});
$session->query_safe('BEGIN; DROP INDEX other_v');
$all = objects($path_b);
unlike(gc_actions($node), qr/removed/, 'nothing goes from any store while an index is locked');
$session->query_safe('ROLLBACK');
is(objects($path_b), $all, 'the index has its objects');
is(gc_actions($node), 'kept ' . ($live + $all) . ", removed $all", 'what it had before goes');
is($node->safe_psql('postgres', $depends), 'b', 'vdb.gc() mends what it depends on');
# pg_upgrade may give one server the oid that another had.
my $ledger = 'SELECT srvname, min(name), max(name) FROM vdb.object o JOIN pg_foreign_server s ON s.oid = o.server GROUP BY 1 ORDER BY 1';
my $rightly = $node->safe_psql('postgres', $ledger);
$node->safe_psql('postgres', q{
	CREATE TABLE other AS SELECT a.oid, b.oid AS to FROM pg_foreign_server a, pg_foreign_server b WHERE a.oid <> b.oid;
	UPDATE vdb.object SET server = other.to FROM other WHERE server = other.oid;
	UPDATE vdb.store_owner SET server = 0, cluster = 1 WHERE name = 'b';
	UPDATE vdb.store_owner SET server = other.to, cluster = 1 FROM other WHERE server = other.oid;
	UPDATE vdb.store_owner SET server = other.to FROM other, pg_foreign_server s WHERE name = 'b' AND srvname = 'b' AND s.oid = other.oid;
	DROP TABLE other});
isnt($node->safe_psql('postgres', $ledger), $rightly, 'two servers have changed oids');
is(gc_actions($node), 'kept ' . ($live + $all), 'nothing goes');
is($node->safe_psql('postgres', $ledger), $rightly, 'and the ledger knows which is which');
$node->safe_psql('postgres', 'ALTER INDEX other_v SET (store = local)');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY other_v');
wait_until($node, "SELECT ($depends) = '-'");
$node->safe_psql('postgres', 'ALTER INDEX other_v SET (store = b)');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY other_v');
wait_until($node, "SELECT ($depends) = 'b'");
pass('local and back');
$node->safe_psql('postgres', 'ALTER TABLE item ALTER v TYPE vector(16)');
wait_until($node, "SELECT ($depends) = 'b'");
pass('after ALTER TABLE');
like(gc_error($node, 'DROP SERVER b'), qr/ERROR:  2BP01.*other_v/s, 'so that PostgreSQL guards the server');
$node->safe_psql('postgres', 'DROP INDEX other_v; SELECT * FROM vdb.gc(); DROP SERVER b');
is_clean($node, $path, 'moved about');

# Refusals.
like(gc_error($node, "BEGIN; $index; SELECT * FROM vdb.gc()"), qr/ERROR:  25001/, 'not in a transaction that has written');
collected('after the refusal', $live);
like(gc_error($node, 'DROP SERVER archive CASCADE'), qr/ERROR:  2BP01.*HINT:.*vdb\.purge/s, 'DROP SERVER');
like(gc_error($node, 'DROP EXTENSION vdb_ext CASCADE'), qr/ERROR:  2BP01.*HINT:.*vdb\.purge/s, 'DROP EXTENSION');
like(gc_error($node, q{SELECT * FROM vdb.purge('archive')}), qr/ERROR:  2BP01.*item_v/s, 'purge while an index lives');
like(gc_error($node, "BEGIN; CREATE SERVER new FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path');"
		  . 'CREATE INDEX ON item USING vdb (v) WITH (store = new)'),
	qr/ERROR:  55000.*created or changed in this transaction/s, 'a server that may be rolled back');

# DROP SERVER has written the table of owner records, and does not keep others from it.
my $other_path = new_store('other');
$node->safe_psql('postgres', qq{
	CREATE SERVER other FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$other_path');
	INSERT INTO vdb.store_owner (server, prefix, seed, name, cluster, built_as) SELECT oid, 'x', sha256('x'), srvname, (SELECT system_identifier FROM pg_control_system()), oid FROM pg_foreign_server WHERE srvname = 'other'});
$node->safe_psql('postgres', "SET statement_timeout = '60s'; BEGIN; DROP SERVER other; $index; ROLLBACK");
is($node->safe_psql('postgres', 'SELECT count(*) FROM vdb.store_owner'), '2', 'DROP SERVER and a build in one transaction');
collected('DROP SERVER and a build rolled back', $live);
# Servers of the cluster before a pg_upgrade that are gone: one had the oid that another one has now, and one had the name, under
# which nothing more can be followed.
$node->safe_psql('postgres', q{
	CREATE TEMP TABLE row AS SELECT * FROM vdb.object LIMIT 1;
	UPDATE row SET id = sha256('gone'), name = name || '.gone';
	INSERT INTO vdb.object SELECT * FROM row;
	UPDATE vdb.object SET server = 1 WHERE id <> sha256('gone');
	CREATE TEMP TABLE owner AS SELECT * FROM vdb.store_owner WHERE name = 'archive';
	UPDATE vdb.store_owner SET server = 1, cluster = 1 WHERE name = 'archive';
	UPDATE owner SET name = 'gone', cluster = 1;
	INSERT INTO vdb.store_owner SELECT * FROM owner;
	UPDATE owner SET name = 'archive', server = 2;
	INSERT INTO vdb.store_owner SELECT * FROM owner});
my $log = -s $node->logfile;
my $kept_rows = $live + 1;
is(gc_actions($node), "kept $kept_rows", 'servers that are gone: nothing goes');
$log = slurp_file($node->logfile, $log);
like($log, qr/WARNING:  server "gone", which objects of vdb indexes are in, does not exist after pg_upgrade/, 'servers that are gone: logged');
like($log, qr/WARNING:  more than one server with objects of vdb indexes was called "archive"/, 'servers that are gone: names, too');
is($node->safe_psql('postgres', $ledger =~ s/min.*max\(name\)/count(*)/r), "archive|$live", 'servers that are gone: the others are followed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM vdb.object o JOIN vdb.store_owner w USING (server) WHERE w.name = 'gone'}), '1',
	'servers that are gone: their objects are known by an oid that nobody has');
foreach my $statement ('DROP SERVER other', 'ALTER SERVER other RENAME TO another')
{
	$node->safe_psql('postgres', "SET statement_timeout = '60s'; BEGIN; $statement; $index; ROLLBACK");
	pass("$statement and a build in one transaction, after a pg_upgrade that is not complete");
}
$node->safe_psql('postgres', q{DELETE FROM vdb.object WHERE id = sha256('gone'); DELETE FROM vdb.store_owner WHERE cluster = 1});
collected('DROP SERVER and a build rolled back', $live);
my $dropping = $node->background_psql('postgres');
$dropping->query_safe('BEGIN; DROP SERVER other');
$node->safe_psql('postgres', "SET statement_timeout = '60s'; BEGIN; $index; ROLLBACK");
collected('a build beside DROP SERVER', $live);
$dropping->query_safe('COMMIT');
is($node->safe_psql('postgres', 'SELECT count(*) FROM vdb.store_owner'), '1', 'DROP SERVER');

# The role that the objects were stored for is gone.
$node->safe_psql('postgres', qq{
	CREATE SERVER other FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$other_path');
	CREATE ROLE alice;
	GRANT USAGE ON FOREIGN SERVER other TO alice;
	CREATE TABLE hers AS SELECT * FROM item;
	ALTER TABLE hers ALTER v TYPE vector(16);
	ALTER TABLE hers OWNER TO alice});
$node->safe_psql('postgres', 'CREATE INDEX hers_v ON hers USING vdb (v) WITH (store = other)');
$node->safe_psql('postgres', 'DROP TABLE hers; DROP OWNED BY alice; DROP ROLE alice');
my $hers = objects($other_path);
cmp_ok($hers, '>', 0, 'a role that is gone has left objects');
$node->safe_psql('postgres', q{SELECT vdb.adopt('other')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM vdb.purge('other') WHERE action = 'removed'}), $hers, 'they can be purged');
is(scalar objects($other_path), 0, 'and are');
$node->safe_psql('postgres', 'DROP SERVER other');

# Two servers for one place: the second one is refused, and holds nobody else up.
$node->safe_psql('postgres', qq{
	CREATE SERVER second FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path')});
$node->safe_psql('postgres', 'CREATE INDEX second_v ON item USING vdb (v) WITH (store = second)');
$all = objects($path);
$node->safe_psql('postgres', "DROP INDEX second_v; $index; DROP INDEX other_v");
my $archived = objects($path) - $all;
cmp_ok($archived, '>', 0, 'there is garbage in both');
my $refused = qr/ERROR:  55000.*another cluster collects garbage in store "second".*HINT:.*vdb\.adopt\('second'\)/s;
like(gc_error($node, 'SELECT * FROM vdb.gc(true)'), $refused, 'contested: dry run');
is(scalar objects($path), $all + $archived, 'contested: a dry run removes nothing');
like(gc_error($node), $refused, 'contested');
is(scalar objects($path), $all, 'contested: the other server has been collected, and nothing else');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT srvname, ' ') FROM vdb.object o JOIN pg_foreign_server s ON s.oid = o.server
	WHERE unreferenced_since IS NOT NULL}), 'second', 'contested: so has its ledger');
like(gc_error($node, q{SELECT * FROM vdb.purge('second')}), $refused, 'contested: no purge');
is(scalar objects($path), $all, 'contested: nothing was purged');
$node->safe_psql('postgres', q{SELECT vdb.adopt('second')});
like(gc_error($node), qr/ERROR:  55000.*another cluster collects garbage in store "archive"/s, 'the other way round');
$node->safe_psql('postgres', q{SELECT * FROM vdb.purge('second', forget => true); DROP SERVER second; SELECT vdb.adopt('archive')});
foreach my $object (objects($path))
{
	unlink "$path/$object" unless $node->safe_psql('postgres', "SELECT count(*) FROM vdb.object WHERE name = '$object'");
}
is_clean($node, $path, 'one server again');

# A large ledger: what a collection takes of the query's memory does not grow with it.
$node->safe_psql('postgres', q{
	INSERT INTO vdb.object (id, server, owner, database, index, name, size, builder, created)
	SELECT sha256(i::text::bytea), s.oid, 10, 1, '00000000-0000-0000-0000-000000000000', '0/1/x/' || i, 1, '3', now()
	FROM pg_foreign_server s, generate_series(1, 20000) i});
my $bytes = $node->safe_psql('postgres', q{
	SET work_mem = '64kB';
	SELECT (SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE g.object IS NOT NULL) FROM vdb.gc(true) g LIMIT 1});
cmp_ok($bytes, '<', 5_000_000, 'a large ledger');
$node->safe_psql('postgres', 'DELETE FROM vdb.object WHERE database = 1');
is_clean($node, $path, 'it was one');

# Where the extension is not, what has the names of its tables is somebody's own, whatever it looks like.
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE DATABASE tenant OWNER mallory');
$node->safe_psql('tenant', 'CREATE FOREIGN DATA WRAPPER vdb_store; CREATE SERVER theirs FOREIGN DATA WRAPPER vdb_store');
my $theirs = $node->safe_psql('tenant', q{SELECT oid FROM pg_foreign_server WHERE srvname = 'theirs'});
my $columns = join ', ', map { "c$_ bigint DEFAULT 4702111234474983745" } 1 .. 900;
foreach my $made (
	map({ my $name = $_;
			map { "TABLE vdb.$name $_" } "($columns)", '(a int) PARTITION BY RANGE (a)', '(a text PRIMARY KEY)' }
		  qw(object store_owner manifest chunk master_key)),
	'VIEW vdb.object AS SELECT 1')
{
	my ($kind, $name) = split / /, $made;
	my $fill = $made =~ /DEFAULT/ ? "INSERT INTO $name DEFAULT VALUES;" : '';
	my ($code, $out, $err) = $node->psql('tenant', "CREATE SCHEMA vdb; CREATE $made; $fill DROP $kind $name;"
		  . 'CREATE TABLE mine (id int PRIMARY KEY); DROP TABLE mine; DROP SCHEMA vdb',
		extra_params => [ '-U', 'mallory' ]);
	is("$code$err", '0', substr("not ours: $made", 0, 60));
}
$node->safe_psql('tenant', "CREATE SCHEMA vdb; CREATE TABLE vdb.object ($columns);"
	  . "CREATE TABLE vdb.store_owner AS SELECT ${theirs}::oid AS server, 'x' AS prefix; INSERT INTO vdb.object DEFAULT VALUES;"
	  . 'DROP SERVER theirs');
is($node->safe_psql('tenant', 'SELECT count(*) FROM vdb.store_owner'), '1', 'not ours: DROP SERVER leaves it alone');
$node->safe_psql('postgres', 'DROP DATABASE tenant; DROP ROLE mallory');

# A worker that waits holds its session up, which can be cancelled; one session collects at a time.
my $held = hold_ledger($node);
my $waiting = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'vdb_ext worker' AND wait_event_type = 'Lock'";
my $builder = start_sql($node, $index);
wait_until($node, $waiting);
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%'});
like((finish_sql($builder))[1], qr/canceling statement due to user request/, 'a waiting build is cancelled');
wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'vdb_ext worker'});
$held->query_safe('ROLLBACK');
is(gc_actions($node), "kept $live", 'it has left nothing');
$node->safe_psql('postgres', "$index; DROP INDEX other_v");
$held->query_safe('BEGIN; LOCK TABLE vdb.object IN EXCLUSIVE MODE');
my $collector = start_sql($node, 'SELECT count(*) FROM vdb.gc()');
wait_until($node, $waiting);
like(gc_error($node), qr/ERROR:  55P03/, 'one collector at a time');
$held->query_safe('ROLLBACK');
is((finish_sql($collector))[1], '', 'the first one goes on');
is_clean($node, $path, 'collected once');

# Retention.
$node->safe_psql('postgres', q{ALTER SYSTEM SET vdb.gc_retention = '4s'});
$node->reload;
$node->safe_psql('postgres', "$index; DROP INDEX other_v");
$all = objects($path);
is(gc_actions($node), "kept $all", 'retention: kept');
like(gc($node), qr/no index uses it since .*; kept until /, 'and it says until when');
my $since = $node->safe_psql('postgres', 'SELECT max(unreferenced_since) FROM vdb.object');
$node->restart;
is(gc_actions($node), "kept $all", 'retention, after a restart: kept');
is($node->safe_psql('postgres', 'SELECT max(unreferenced_since) FROM vdb.object'), $since, 'the clock goes on');
$node->safe_psql('postgres', 'SELECT pg_sleep(4)');
is(gc_actions($node), "kept $live, removed " . ($all - $live), 'retention: over');
is_clean($node, $path, 'retention');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET vdb.gc_retention');
$node->reload;

# The store is away, or another one.
$node->safe_psql('postgres', "$index; DROP INDEX other_v");
$all = objects($path);
rename $path, "$path.away" or die;
is(gc_actions($node), "kept " . ($all + 1), 'the store is away: kept');
mkdir $path or die;
like(gc_error($node), qr/ERROR:  55000.*is not the one that objects were stored in.*HINT:.*vdb\.adopt/s, 'an empty one');
rmdir $path or die "$path: $!";
rename "$path.away", $path or die;
chmod 0500, (glob "$path/*/*/*") or die;
unlike(gc_actions($node), qr/removed/, 'what cannot be removed is kept');
chmod 0700, (glob "$path/*/*/*") or die;
collected('the store is back', $live);
# As after a crash between the two: removed, but in the ledger.
$node->safe_psql('postgres', "$index; DROP INDEX other_v");
my %kept = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT name FROM vdb.object WHERE unreferenced_since IS NULL');
my $used = $node->safe_psql('postgres', q{SELECT vdb.manifest('item_v')->>'index'});
foreach my $object (objects($path))
{
	unlink "$path/$object" unless $object =~ m{/$used/};
}
is(objects($path), $live, 'the objects have been removed by hand');
like(gc($node), qr/removed\|no index uses it since .*; it was not there any more/, 'a missing one counts as removed');
is_clean($node, $path, 'removed by hand');

# A build that fails on its way.
chmod 0500, (glob "$path/*/*") or die;
like(gc_error($node, $index), qr/ERROR:  42501/, 'a build that cannot store');
chmod 0700, (glob "$path/*/*") or die;
is(gc_actions($node), "kept $live, removed 1", 'its first row goes');
is_clean($node, $path, 'a failed build');

# A database is dropped, and copied, at once after a build in it.
$node->safe_psql('postgres', 'CREATE DATABASE extra');
$node->safe_psql('extra', qq{
	CREATE EXTENSION vdb_ext;
	CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path');
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, ARRAY(SELECT sin(i * j) FROM generate_series(1, 16) j)::vector FROM generate_series(1, 3000) i;
	CREATE INDEX item_v ON item USING vdb (v) WITH (store = archive)});
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE extra');
is($node->safe_psql('copy', 'DROP INDEX item_v; SELECT DISTINCT action FROM vdb.gc()'), 'kept', 'a copy removes nothing of what it was copied from');
$node->safe_psql('copy', 'DROP EXTENSION vdb_ext CASCADE');
my $extra = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'extra'});
like(gc_error($node, "SELECT * FROM vdb.purge('archive', $extra)"), qr/ERROR:  55006/, 'a database that exists');
$node->safe_psql('postgres', 'DROP DATABASE copy; DROP DATABASE extra');
$all = objects($path);
cmp_ok($all, '>', $live, 'DROP DATABASE leaves its objects');
like(gc($node), qr/kept\|\d+ objects of \d+ bytes of database $extra, which does not exist/, 'gc() knows of them');
# They may be those of a database of the same oid in another cluster.
like(gc_error($node, "SELECT * FROM vdb.purge('archive', $extra)"), qr/ERROR:  55000.*HINT:.*vdb\.adopt\('archive', $extra\)/s,
	'not before it is adopted');
is(scalar objects($path), $all, 'nothing was removed');
like(gc_error($node, q{SELECT vdb.adopt('archive', oid) FROM pg_database WHERE datname = 'postgres'}), qr/ERROR:  55006/,
	'a database that exists is not adopted');
$node->safe_psql('postgres', "SELECT vdb.adopt('archive', $extra)");
$node->safe_psql('postgres', "SELECT * FROM vdb.purge('archive', $extra)");
is_clean($node, $path, 'DROP DATABASE, purged');

# Two servers over one place: a purge of one leaves what indexes keep in the other.
my $shared = new_store('shared');
$node->safe_psql('postgres', qq{
	CREATE SERVER first_name FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$shared');
	CREATE SERVER second_name FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$shared');
	CREATE TABLE twice (id int, v vector(16));
	INSERT INTO twice SELECT i, vt.row(i, 16) FROM generate_series(1, 2500) i;
	CREATE INDEX twice_v ON twice USING vdb (v) WITH (store = first_name)});
$node->safe_psql('postgres', 'ALTER INDEX twice_v SET (store = second_name)');
$node->safe_psql('postgres', 'REINDEX INDEX twice_v');
is($node->safe_psql('postgres', q{SELECT DISTINCT action FROM vdb.purge('first_name')}), 'removed', 'one of two servers is purged');
is($node->safe_psql('postgres', q{SELECT rows FROM vdb.check('twice_v', true)}), '2500', 'what is kept by the other is whole');
$node->safe_psql('postgres', 'DROP TABLE twice');
$node->safe_psql('postgres', q{SELECT vdb.adopt('second_name')});
$node->safe_psql('postgres', q{SELECT vdb.purge('second_name')});
is(scalar objects($shared), 0, 'then that goes, too');

# The end.
$node->safe_psql('postgres', q{ALTER SYSTEM SET vdb.gc_retention = '1h'});
$node->reload;
$node->safe_psql('postgres', 'DROP TABLE item');
is(gc_actions($node), "kept $live", 'kept for an hour');
is($node->safe_psql('postgres', q{SELECT DISTINCT action FROM vdb.purge('archive')}), 'removed', 'purged');
is(scalar objects($path), 0, 'nothing is left');
# An index in a store that has nothing there yet goes with the extension.
$node->safe_psql('postgres', 'CREATE TABLE tiny (v vector(16)); CREATE INDEX ON tiny USING vdb (v) WITH (store = archive)');
$node->safe_psql('postgres', 'DROP EXTENSION vdb_ext CASCADE; DROP TABLE tiny');

# No worker, no preload.
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
$node->safe_psql('postgres', 'DROP SCHEMA vt CASCADE; CREATE EXTENSION vdb_ext');
define_helpers($node);
$node->safe_psql('postgres', qq{
	CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path');
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 3000) i});
like(gc_error($node, $index), qr/ERROR:  53000.*HINT:.*max_worker_processes/s, 'no background worker is left');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\nshared_preload_libraries = ''");
$node->restart;
like(gc_error($node, $index), qr/ERROR:  55000.*HINT:.*shared_preload_libraries/s, 'not preloaded');
is(scalar objects($path), 0, 'nothing has been stored');
done_testing();
