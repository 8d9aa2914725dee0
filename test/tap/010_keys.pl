# Master keys: generated, from a file, from a command; rotation; missing and wrong keys.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use VdbTest;

my $key_a = 'a1' x 32;
my $key_b = 'b2' x 32;
my $key_b64 = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';

my $node = new_node('keys', conf => "autovacuum = off");
my $file = $node->data_dir . '/../master_keys';

sub write_keys
{
	my (@lines) = @_;
	append_to_file("$file.new", join('', map { "$_\n" } @lines));
	chmod 0600, "$file.new";
	rename "$file.new", $file or die $!;
	return;
}

# Takes effect in sessions that begin afterwards; nothing stays in a cache.
sub configure
{
	my (%settings) = @_;
	foreach my $name (qw(master_key_command master_key_file))
	{
		my $value = $settings{$name} // '';
		$node->safe_psql('postgres', "ALTER SYSTEM SET vdb.$name = '$value'");
	}
	$node->restart;
	return;
}

my $search = 'SET enable_seqscan = off; SET enable_sort = off; SET vdb.probes = 1000000;'
	. "SELECT id FROM t ORDER BY v <-> '[5,5,5,5,5,5,5,5]' LIMIT 3";

sub result_is
{
	my ($sql, $expected, $name) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $sql);
	is($out . ($code ? $err : ''), $expected, $name);
	return;
}

sub error_like
{
	my ($sql, $expected, $name) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $sql);
	isnt($code, 0, "$name: fails");
	like($err, $expected, $name);
	return $err;
}

$node->safe_psql('postgres', q{
	CREATE TABLE t (id int, v vector(8));
	INSERT INTO t SELECT i, ARRAY[x, x, x, x + sin(i) / 1000, x, x, x, x]::real[]::vector
		FROM generate_series(1, 6000) i, LATERAL (SELECT i / 1000.0 AS x) s;
	CREATE TABLE u AS SELECT * FROM t;
});

# Generated.
my ($code, $out, $err) = $node->psql('postgres', 'CREATE INDEX t_v ON t USING vdb (v)');
is($code, 0, 'an index is built without any key setting');
like($err, qr/NOTICE:  generated a master key/, 'a notice says that a key was generated');
($code, $out, $err) = $node->psql('postgres', 'CREATE INDEX u_v ON u USING vdb (v)');
unlike($err, qr/NOTICE/, 'but once');
result_is('SELECT count(*), min(length(key)) FROM vdb.master_key', '1|32', 'it is in the table');
$node->restart;
my $nearest = $node->safe_psql('postgres', $search);
like($nearest, qr/^5000$/m, 'the index opens in a new server');

$node->safe_psql('postgres', 'CREATE ROLE reader; GRANT pg_read_all_data TO reader');
result_is('SET ROLE reader; SELECT count(*) FROM vdb.master_key', '0',
	'row security hides the keys from pg_read_all_data');
$node->safe_psql('postgres', 'CREATE ROLE nobody; GRANT SELECT ON t TO nobody');
error_like('SET ROLE nobody; SELECT * FROM vdb.master_key', qr/permission denied/,
	'others may not read the table');
error_like('SET ROLE nobody; SELECT vdb.rotate_master_key()', qr/permission denied/,
	'others may not rotate');
result_is("SET ROLE nobody; $search", $nearest, 'others may search');

# A key stays when the transaction that made it fails: pages outside of it may use it.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION vdb_ext; CREATE TABLE t (v vector(2));
	INSERT INTO t SELECT ARRAY[i, -i]::real[]::vector FROM generate_series(1, 5000) i;
	BEGIN; CREATE INDEX ON t USING vdb (v); ROLLBACK');
is($node->safe_psql('other', 'SELECT count(*) FROM vdb.master_key'), '1',
	'a generated key survives a rollback');

# A concurrent, parallel build generates one, too, and a crash loses neither key nor index.
$node->safe_psql('postgres', 'CREATE DATABASE third');
$node->safe_psql('third', 'CREATE EXTENSION vdb_ext; CREATE TABLE t (v vector(2));
	INSERT INTO t SELECT ARRAY[i, -i]::real[]::vector FROM generate_series(1, 20000) i');
$node->safe_psql('third', 'SET min_parallel_table_scan_size = 0;
	SET max_parallel_maintenance_workers = 2;
	CREATE INDEX CONCURRENTLY t_v ON t USING vdb (v)');
$node->safe_psql('third', 'SELECT vdb.rotate_master_key()');
$node->stop('immediate');
$node->start;
is($node->safe_psql('third', q{SET enable_seqscan = off; SET vdb.probes = 1000000;
		SELECT v FROM t ORDER BY v <-> '[77,-77]' LIMIT 1}), '[77,-77]', 'after a crash');
is($node->safe_psql('third', 'SELECT count(*) FROM vdb.master_key'), '2',
	'rotation without a setting generates a key');

# A table that is nearly full takes no more, and everything goes on.
$node->safe_psql('third', q{INSERT INTO vdb.master_key
	SELECT 'filler' || i, decode(md5(i::text) || md5('x' || i), 'hex'), '2000-01-01' FROM generate_series(1, 1020) i});
my $third = q{SET enable_seqscan = off; SET vdb.probes = 1000000; SELECT v FROM t ORDER BY v <-> '[77,-77]' LIMIT 1};
is($node->safe_psql('third', 'SELECT count(*) FROM vdb.rotate_master_key()'), '0', 'the last row that fits');
($code, $out, $err) = $node->psql('third', "\\set VERBOSITY verbose\nSELECT vdb.rotate_master_key()");
like($err, qr/ERROR:  54000: table "vdb\.master_key" has too many rows\nDETAIL:  .*1023.*\nHINT:  Delete the rows that no index names/,
	'one more is refused');
is($node->safe_psql('third', 'SELECT count(*) FROM vdb.master_key'), '1023', 'before it is there');
$node->restart;    # nothing is in the cache
is($node->safe_psql('third', $third), '[77,-77]', 'a session that reads all of them searches');
$node->safe_psql('third', q{INSERT INTO vdb.master_key SELECT 'more' || i, decode(repeat('00', 32), 'hex'), '1999-01-01' FROM generate_series(1, 2) i});
$node->restart;
($code, $out, $err) = $node->psql('third', $third);
like($err, qr/too many rows/, 'what cannot be read is not called malformed');
$node->safe_psql('third', q{DELETE FROM vdb.master_key WHERE id NOT IN (SELECT master_key_id FROM vdb.stat_index)});
is($node->safe_psql('third', 'SELECT count(*) FROM vdb.rotate_master_key()'), '0', 'rows that no index names can go');
is($node->safe_psql('third', $third), '[77,-77]', 'the index is under the new key');

# A file; rotation from the generated key.
write_keys("a:$key_a");
configure(master_key_file => $file);
result_is($search, $nearest, 'generated keys still serve beside a file');
result_is('SELECT * FROM vdb.rotate_master_key()', '', 'rotation leaves nothing behind');
$node->safe_psql('postgres', 'DELETE FROM vdb.master_key');
$node->restart;
result_is($search, $nearest, 'the index is under the key of the file now');

# An open session sees the new key after a rotation by another one.
my $session = $node->background_psql('postgres', on_error_stop => 0);
is($session->query($search), $nearest, 'an open session has the key');
write_keys("b:$key_b", "a:$key_a");
$node->reload;
is($node->safe_psql('postgres', 'SELECT count(*) FROM vdb.rotate_master_key()'), '0', 'a to b');
is($session->query($search), $nearest, 'the open session goes on');
$session->quit;
write_keys("b:$key_b");
$node->restart;
result_is($search, $nearest, 'the old key can go');

# Missing, wrong, malformed.
write_keys("c:$key_b64");
$node->restart;
error_like($search, qr/could not open the data key of index "t_v": master key "b" is not available\nHINT/, 'missing key');
like($node->safe_psql('postgres', 'SELECT * FROM vdb.rotate_master_key()'),
	qr/^t_v\|b\|master key "b" is not available$/m, 'rotation says what it could not do');
write_keys("b:$key_a");
$node->restart;
error_like($search, qr/data key of index "t_v": wrong master key "b"\nDETAIL:.*\nHINT: /, 'another key under the same id');
write_keys("b:$key_b", 'b:tooshort');
$node->restart;
error_like($search, qr/data key of index "t_v": "vdb\.master_key_file" gave no usable keys: .*malformed key in line 2/, 'malformed key');
write_keys("b:$key_b");
foreach my $mode (0640, 0604, 0700 | 0001, 0660)
{
	chmod $mode, $file;
	$node->reload;
	error_like("\\set VERBOSITY verbose\n$search",
		qr/ERROR:  F0000: .*index "t_v": could not read the master keys.*\nDETAIL:  It is accessible to its group or to everyone\.\nHINT:  .*0600/,
		sprintf 'mode %04o', $mode);
}
chmod 0400, $file;
result_is($search, $nearest, 'mode 0400');
unlink $file;
$node->restart;
my $message = error_like($search, qr/index "t_v": could not read the master keys.*DETAIL:  No such file/s,
	'missing file');
unlike($message, qr/master_keys\b/, 'the file is not named');
$node->safe_psql('postgres',
	"INSERT INTO t VALUES (7000, '[7,7,7,7,7,7,7,7]'); DELETE FROM t WHERE id < 10; VACUUM t");
pass('INSERT, DELETE and VACUUM need no key');
error_like('CREATE INDEX again ON u USING vdb (v)', qr/could not make a data key for index "again": could not read the master keys/,
	'a build needs one');
result_is("SELECT count(*) FROM pg_class WHERE relname = 'again'", '0', 'and leaves nothing');

# A command.
configure(master_key_command => "echo b:$key_b; echo a:$key_a");
result_is($search, $nearest, 'keys from a command');
configure(master_key_command => 'echo never shown; exit 3');
unlike(error_like($search, qr/index "t_v": could not get the master keys.*It failed: child process exited with exit code 3/s, 'failing command'),
	qr/never shown/, 'its output is not shown');
result_is("INSERT INTO t VALUES (7001, '[7,7,7,7,7,7,7,7]') RETURNING id", '7001',
	'INSERT works while the command fails');
result_is("DELETE FROM t WHERE id < 30 OR id = 7001; VACUUM (INDEX_CLEANUP ON) t;
	SELECT tombstones, delta_rows FROM vdb.stat_index WHERE indexname = 't_v'", '29|1',
	'so does VACUUM: rows are marked in lists, and leave the delta');
my $marker = 4000 + $$ % 1000;
configure(master_key_command => "sleep $marker & sleep $marker");
my $start = time;
error_like("SET statement_timeout = 300; $search", qr/statement timeout/, 'hanging command');
cmp_ok(time - $start, '<', 10, 'a timeout ends the wait');
unlike(`ps -eo args`, qr/^sleep $marker/m, 'and the command with all that it started');
configure(master_key_command => "echo b:$key_b");
result_is($search, $nearest, 'all is well again');

# Keys in memory go when a session ends, however it does: a search that is stopped half way, a build.
sub log_has
{
	my ($offset, $pattern, $name) = @_;
	for (1 .. 300)
	{
		last if slurp_file($node->logfile, $offset) =~ $pattern;
		usleep(100_000);
	}
	like(slurp_file($node->logfile, $offset), $pattern, $name);
	return;
}
$node->restart;    # a search that finds everything in the cache opens no key
my $offset = -s $node->logfile;
$node->safe_psql('postgres', "SET log_min_messages = debug1; $search");
log_has($offset, qr/DEBUG:  wiped 1 data keys/, 'the data key is wiped when a session ends');
$node->restart;
$offset = -s $node->logfile;
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe("SET log_min_messages = debug1; SET enable_seqscan = off; SET enable_sort = off; BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> '[1,1,1,1,1,1,1,1]'; FETCH 1 FROM c");
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'});
log_has($offset, qr/DEBUG:  wiped 1 data keys/, 'and by FATAL in the middle of a search');
eval { $session->quit };
$offset = -s $node->logfile;
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('CREATE FUNCTION hold(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_stat_clear_snapshot();
	IF v = (SELECT u.v FROM u WHERE id = 6000) AND (SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE \'%encoding%\') > 0
	THEN PERFORM pg_sleep(600); END IF; RETURN v; END $$');
$session->quit;
my $build = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c',
	'SET log_min_messages = debug1; SET max_parallel_maintenance_workers = 0', '-c',
	'CREATE INDEX held ON u USING vdb ((hold(v)::vector(8)))' ], '<', '/dev/null', '>', \my $ignored, '2>', \my $error);
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) or die;
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
$build->finish;
log_has($offset, qr/DEBUG:  wiped 1 data keys/, 'and by FATAL in the middle of a build');

# Nothing leaked. The command's own text is the administrator's, and is logged when it changes.
my $log = slurp_file($node->logfile);
$log =~ s/parameter "vdb\.master_key_command" changed.*//g;
$log =~ s/STATEMENT:.*|statement: .*//g;
unlike($log, qr/\Q$key_a\E|\Q$key_b\E|\Q$key_b64\E|tooshort|never shown/, 'no key in the log');

$node->stop;
done_testing();
