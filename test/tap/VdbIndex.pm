# What the index's TAP tests share: rows that depend on their number alone, sessions in the
# background, and the proof that an index is whole.
package VdbIndex;

use strict;
use warnings;

use Exporter 'import';
use File::Temp ();
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(define_helpers start_sql finish_sql wait_until index_is_whole index_rows
  kill_backend kill_server);

# vt.row(i, dims), a vector; vt.hold(v, at), which waits at one vector while advisory lock 42 is
# taken.
sub define_helpers
{
	my ($node) = @_;
	$node->safe_psql('postgres', q{
		CREATE SCHEMA vt;
		CREATE FUNCTION vt.row(i bigint, dims int) RETURNS vector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
		  SELECT array_agg(((hashint8extended(i * 20000 + j, 42) & 1048575) / 1048576.0)::real ORDER BY j)::vector
		  FROM generate_series(1, dims) j $$;
		CREATE FUNCTION vt.hold(v vector, at vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$
		BEGIN
		  IF v = at THEN PERFORM pg_advisory_lock_shared(42), pg_advisory_unlock_shared(42); END IF;
		  RETURN v;
		END $$});
	return;
}

# A psql that runs sql in the background.
sub start_sql
{
	my ($node, $sql) = @_;
	my %session = (out => '', err => '');
	# From a file: IPC::Run would not feed a pipe before it is asked for output.
	my ($handle, $file) = File::Temp::tempfile(DIR => $ENV{TESTDIR});
	print $handle $sql;
	close $handle;
	$session{run} = IPC::Run::start(
		[ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr('postgres') ],
		'<', '/dev/null', '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

# Waits for it to end. Returns what it wrote to its standard output and error.
sub finish_sql
{
	my ($session) = @_;
	$session->{run}->finish;
	return ($session->{out}, $session->{err});
}

# Runs a query until it says t; dies after three minutes.
sub wait_until
{
	my ($node, $query) = @_;
	$node->poll_query_until('postgres', $query) or die "never true: $query";
	return;
}

# The number of rows a search without limit finds, each once.
sub index_rows
{
	my ($node, $expression, $query, $table) = @_;
	return $node->safe_psql('postgres', qq{
		SET enable_seqscan = off; SET enable_sort = off; SET jit = off;
		SET vdb.iterative_scan = relaxed_order;
		SELECT count(*) || ' ' || count(DISTINCT ctid)
		FROM (SELECT ctid FROM $table ORDER BY $expression <-> $query OFFSET 0) s});
}

# The index is sound, byte by byte and against its table, and searches find every row.
sub index_is_whole
{
	my ($node, $table, $index, $expression, $query, $name) = @_;
	my ($code, $out, $err) =
	  $node->psql('postgres', "SELECT rows - dead + delta_rows FROM vdb.check('$index', true)");
	is($err, '', "$name: the index is sound");
	my $rows = $node->safe_psql('postgres',
		"SET enable_indexscan = off; SELECT count(*) FROM $table");
	is(index_rows($node, $expression, $query, $table), "$rows $rows",
		"$name: a search finds every row");
	return;
}

# kill -9 of one backend: the postmaster ends all and starts them again. Waits until it has.
sub kill_backend
{
	my ($node, $pid) = @_;
	my $offset = -s $node->logfile;
	kill 'KILL', $pid or die "no process $pid";
	for (1 .. 3600)
	{
		# The sessions that are still there would let a query through.
		return
		  if slurp_file($node->logfile, $offset) =~ /all server processes terminated.*ready to accept/s;
		usleep(50_000);
	}
	die 'the server did not come back';
}

# kill -9 of the postmaster and of all its children, then a start. What a power failure leaves.
sub kill_server
{
	my ($node) = @_;
	my $postmaster = $node->{_pid};
	# Stopped, so that it does not react to its children's end.
	kill 'STOP', $postmaster;
	my @children = split ' ', `ps -o pid= --ppid $postmaster`;
	kill 'KILL', @children, $postmaster;
	$node->{_pid} = undef;
	for (1 .. 1000)
	{
		last unless grep { kill 0, $_ } @children;
		usleep(10_000);
	}
	$node->start;
	return;
}

1;
