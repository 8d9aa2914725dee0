# Whatever a store does wrong while a search reads or a build writes: the right rows, or an error with the documented
# SQLSTATE that names the server and the object; and in the same session all is well when the store is.
use strict;
use warnings;

use Test::More;
use VdbGarbage;
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

# Small segments of WAL, so that a limit on the size of files can be set below that of an object.
my $node = new_node('faults', extra => ['--wal-segsize=1'], conf => "autovacuum = off\nvdb.allow_http = on\n"
	  . "max_parallel_maintenance_workers = 0\nvdb.gc_retention = 0\n");
define_helpers($node);
load_gloss($node, 3000);
load_queries($node);
$node->safe_psql('postgres', q{
	CREATE TABLE small (id int, v vector(16));
	INSERT INTO small SELECT i, vt.row(i, 16) FROM generate_series(1, 2100) i});

# All lists are read.
my $settings = q{SET enable_seqscan = off; SET enable_sort = off; SET jit = off; SET vdb.probes = 100000;
	SET vdb.request_timeout = '1500ms'};
my $query = '(SELECT embedding FROM held_out WHERE id = 3)';
my $search = "SELECT string_agg(id::text, ',') FROM (SELECT id FROM gloss ORDER BY embedding <-> $query LIMIT 10) s";
my $right;
my $everything = "SET vdb.rerank = %s; SET vdb.iterative_scan = relaxed_order; SELECT count(*) FROM (SELECT id FROM gloss ORDER BY embedding <-> $query OFFSET 0) s";

# A search that needs bytes, and does not get them, takes no longer than vdb.request_timeout. On a machine that is busy it
# may; faults that nobody ends last for minutes.
my $patience_s = 30;
sub ends_in_time
{
	my ($start, $name) = @_;
	cmp_ok(time - $start, '<', $patience_s, "$name: within vdb.request_timeout, and some");
	return;
}

# A statement while there is a fault. Nobody waits longer than need be for an answer that does not come; and who gives up
# within a second has not found out that the store is away, so that nobody waits for that to pass either.
sub ask_at_fault
{
	my ($session, $sql, $fault) = @_;
	return ask($session, $sql) unless $fault eq 'stall';
	$session->query_safe("SET vdb.request_timeout = '700ms'");
	my @answer = ask($session, $sql);
	$session->query_safe("SET vdb.request_timeout = '1500ms'");
	return @answer;
}

# A session with an empty cache, but for the routing object.
sub cold
{
	my ($what) = @_;
	$node->restart;
	my $session = session($node, $settings);
	$session->query_safe("SELECT * FROM vdb.prewarm('remote', 'routing')") unless defined $what;
	return $session;
}

# A fault in every answer to a search: an error, or with SQLSTATE '' none.
sub reading
{
	my ($kind, $standin, $path, $name, $fault, $how, $state, $text) = @_;
	my $session = cold();
	$standin->fault($fault, method => 'GET', path => $path, times => undef, %{$how});
	my $start = time;
	my ($out, $err) = ask_at_fault($session, $search, $fault);
	ends_in_time($start, "$kind, $name");
	cmp_ok($standin->hits->[0][1], '>', 0, "$kind, $name: it was asked");
	if ($state eq '')
	{
		is("$err$out", $right, "$kind, $name: the right rows");
	}
	else
	{
		like($err, qr/ERROR:  $state: store "$kind", object "[^"]+": $text/, "$kind, $name: the error");
		like($err, qr/DETAIL:.*Index "remote" is kept there/s, "$kind, $name: it says which index") unless $state eq 'XX002' && $text =~ /frame/;
		is($out, '', "$kind, $name: no rows");
	}
	$standin->clear_faults;
	answers_again($session, $search, $right, "$kind, $name");
	$session->quit;
	return;
}

my $frame = qr/could not read frame \d+ of object \w+ of index "remote"/;
# Where the first request is spared, the store has answered and is not taken to be away: the breaker, which would keep each
# of these cases waiting for a second, is that of 503.
my @spared = (skip => 1);
my @reads = (
	[ '401', 'status', { status => 401 }, '42501', qr/access denied \(HTTP 401/ ],
	[ '403', 'status', { status => 403 }, '42501', qr/access denied \(HTTP 403/ ],
	[ '404', 'status', { status => 404 }, '58P01', qr/there is no such object \(HTTP 404/ ],
	[ '409', 'status', { status => 409 }, '08006', qr/in conflict with another request \(HTTP 409/ ],
	[ '413', 'status', { status => 413 }, '0A000', qr/too large for the store \(HTTP 413/ ],
	[ '429', 'status', { status => 429 }, '08006', qr/too many requests \(HTTP 429/ ],
	[ '500', 'status', { @spared, status => 500 }, '08006', qr/cannot answer now \(HTTP 500/ ],
	[ '503', 'status', { status => 503 }, '08006', qr/cannot answer now \(HTTP 503/ ],
	[ 'stall before the head', 'stall', { seconds => 120 }, '08006', qr/timed out/ ],
	[ 'stall in the body', 'stall', { at => 1000, seconds => 120 }, '08006', qr/timed out/ ],
	[ 'slow first byte', 'slow_first_byte', { seconds => 0.3 }, '' ],
	[ 'body cut', 'cut', { @spared, at => 1000 }, '08006', qr/the connection broke/ ],
	[ 'body cut by a reset', 'cut', { @spared, at => 1000, reset => \1 }, '08006', qr/the connection broke/ ],
	[ 'body shorter than its range', 'truncate', { @spared, at => 1000 }, '08006', qr/the connection broke/ ],
	[ 'another range', 'wrong_content_range', { what => 'start' }, 'XX002', qr/it sent other bytes than those asked for/ ],
	[ 'a range of a larger object', 'wrong_content_range', { what => 'total' }, 'XX002', qr/it sent other bytes than those asked for/ ],
	[ 'no Content-Range', 'wrong_content_range', { what => 'none' }, 'XX002', qr/it sent other bytes than those asked for/ ],
	[ '200 for a range', 'ignore_range', {}, '' ],
	[ 'another object', 'other_object', {}, 'XX002', $frame ],
	[ 'an older object', 'older_object', {}, 'XX002', $frame ],
	[ 'reset', 'reset', {@spared}, '08006', qr/the connection broke/ ],
	[ 'close', 'close', {@spared}, '08006', qr/the connection broke/ ],
	[ 'reset of a connection that was kept', 'reset', { kept_alive => \1, times => 1 }, '' ],
	[ 'no answer for once', 'status', { status => 503, times => 1 }, '' ]);
# On S3 those that are not the same to the last line of code.
my %on_s3 = map { $_ => 1 } ('403', '404', '503', 'stall in the body', 'body cut', 'another range', '200 for a range', 'an older object');

# A bit is wrong in one region: once, and another fetch helps; or for good.
sub flipped
{
	my ($kind, $standin, $path) = @_;
	# Bytes that are stored at these places belong to frames 0, 2, 12 and 60. A chunk has about 80 kB of first codes, then
	# 260 kB of other codes, then 2 MB of vectors; the routing object, the first that is read, is one frame.
	my %regions = (
		routing => [ 50, qr/routing object: .*frame 0 of object/, 'heap' ],
		'first codes' => [ 16400 * 2 + 50, qr/could not read frame 2 of object/, 'heap' ],
		'other codes' => [ 16400 * 12 + 50, qr/could not read frame 12 of object/, 'heap' ],
		vectors => [ 16400 * 60 + 50, qr/could not read frame 60 of object/, 'chunk' ]);
	foreach my $region (sort keys %regions)
	{
		my ($offset, $text, $rerank) = @{ $regions{$region} };
		my $sql = sprintf $everything, $rerank;
		my $session = cold($region eq 'routing' ? 'with routing' : undef);
		$standin->fault('flip', offset => $offset, bit => 5, path => $path, times => undef);
		my ($out, $err) = ask($session, $sql);
		like($err, qr/ERROR:  XX002: .*store "$kind", object "[^"]+": .*$text \w+ of index "remote"/s, "$kind, a bit in $region: the error") if $region ne 'routing';
		like($err, qr/ERROR:  XX002: index "remote", $text/, "$kind, a bit in $region: the error") if $region eq 'routing';
		is($out, '', "$kind, a bit in $region: no rows");
		$standin->clear_faults;
		$standin->fault('flip', offset => $offset, bit => 5, path => $path, times => 1);
		answers_again($session, $sql, 3000, "$kind, a bit in $region for once");
		is($standin->hits->[0][1], 1, "$kind, a bit in $region for once: it was wrong");
		$standin->clear_faults;
		$session->quit;
	}
	return;
}

# A fault in every request that a build sends, then none.
my $build = 'CREATE INDEX built ON small USING vdb (v) WITH (store = %s, chunk_size = 1000)';
sub writing
{
	my ($session, $kind, $standin, $name, $fault, $how, $state, $text) = @_;
	my $sql = sprintf $build, $kind;
	$standin->fault($fault, times => undef, %{$how});
	my (undef, $err) = ask_at_fault($session, $sql, $fault);
	cmp_ok($standin->hits->[0][1], '>', 0, "$kind, writing, $name: it was asked");
	if ($state eq '') { is($err, '', "$kind, writing, $name: no error"); }
	else { like($err, qr/ERROR:  $state: store "$kind", object "[^"]+": $text/, "$kind, writing, $name: the error"); }
	$standin->clear_faults;
	answers_again($session, $sql, undef, "$kind, writing, $name") unless $state eq '';
	ask($session, 'DROP INDEX built');
	return;
}

sub writes
{
	my ($kind, $standin, $method, $path, $read) = @_;
	my $session = session($node, $settings);
	my %put = (method => $method, path => $path);
	my $s5 = $kind eq 's5';
	my @faults = (
		(map { [ $_->[0], $_->[1], { %put, %{ $_->[2] }, skip => 0 }, $_->[3], $_->[4] ] } grep { $_->[1] eq 'status' && $_->[3] ne '' } @reads),
		[ 'disk full', 'disk_full', {%put}, $s5 ? ('53100', qr/no space left on the node/) : ('08006', qr/cannot answer now \(HTTP 500/) ],
		[ 'stall', 'stall', { %put, seconds => 120 }, '08006', qr/timed out/ ],
		[ 'stall in the body', 'stall', { %put, upload_at => 50, seconds => 120 }, '08006', qr/timed out/ ],
		[ 'reset', 'reset', {%put}, '08006', qr/the connection broke/ ],
		[ 'an answer that is lost', 'reset', { %put, after => \1, times => 1 }, '' ],
		[ 'other bytes when read back', 'other_object', { method => 'GET', path => $read }, 'XX002', qr/what was read back is not what was written/ ]);
	push @faults, [ 'another CID', 'wrong_cid', {%put}, 'XX002', qr/the node has stored other bytes: it answered another CID/ ] if $s5;
	push @faults, [ 'lost', 'status', { method => 'HEAD', path => $path, status => 404 }, '58P01', qr/there is no such object/ ] unless $s5;
	writing($session, $kind, $standin, @{$_}) foreach @faults;
	# Builds that failed have left no more than a collection finds.
	$session->query_safe("SET vdb.request_timeout = '30s'");
	my ($out, $err) = ask($session, "SELECT count(*) FROM vdb.gc() WHERE action = 'removed'");
	cmp_ok($out, '>', 0, "$kind: failed builds leave garbage, which goes");
	is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT action, ',') FROM vdb.gc()}), 'kept', "$kind: all of it");
	$session->quit;
	return;
}

# Many small requests, by sessions and servers that allow few connections.
sub connections
{
	my ($kind, $standin) = @_;
	my $few = sub {
		my ($name, $options, $latency, $limit, $over) = @_;
		my $session = cold();
		ask($session, "SET vdb.request_timeout = '1min'; ALTER SERVER $kind OPTIONS ($options)");
		$standin->forget;
		$standin->set(latency_ms => $latency, connection_limit => $limit, over_limit => $over // '503');
		my ($out, $err) = ask($session, $search);
		my $summary = $standin->summary(method => 'GET');
		$standin->set(latency_ms => 0, connection_limit => undef);
		is("$err$out", $right, "$kind, $name: the right rows");
		cmp_ok($summary->{requests}, '>', 20, "$kind, $name: in many requests");
		$session->quit;
		return $summary;
	};
	my $summary = $few->('16 connections', "ADD max_range '32', ADD max_connections '16'", 20);
	cmp_ok($summary->{at_once}, '>', 3, "$kind: several requests at once");
	cmp_ok($summary->{at_once}, '<=', 16, "$kind: not more than max_connections");
	$summary = $few->('3 connections', "SET max_connections '3'", 20);
	is($summary->{at_once}, 3, "$kind: as many at once as max_connections says");
	cmp_ok($summary->{connections}, '<=', 3, "$kind: over as many connections");
	foreach my $over ('503', 'reset', 'wait')
	{
		$few->("1 connection, and the server takes 1 (else $over)", "SET max_connections '1'", 0, 1, $over);
	}
	# More than the server takes: whoever comes again, when others are done, may get in.
	my $session = cold();
	ask($session, "SET vdb.request_timeout = '1min'; ALTER SERVER $kind OPTIONS (SET max_connections '8')");
	$standin->set(latency_ms => 20, connection_limit => 2, over_limit => '503');
	my ($out, $err) = ask($session, $search);
	like("$err$out", qr/^\Q$right\E$|ERROR:  08006: store "$kind", object "[^"]+": cannot answer now \(HTTP 503/,
		"$kind, 8 connections, of which the server takes 2: the right rows or an error");
	$standin->set(latency_ms => 0, connection_limit => undef);
	answers_again($session, $search, $right, "$kind, 8 connections, of which the server takes 2");
	ask($session, "ALTER SERVER $kind OPTIONS (DROP max_connections, DROP max_range)");
	$session->quit;
	return;
}

sub a_store
{
	my ($kind, $standin, $options, $secrets, $read, $method, $write, @names) = @_;
	$node->safe_psql('postgres', qq{
		CREATE SERVER $kind FOREIGN DATA WRAPPER vdb_store OPTIONS ($options);
		CREATE USER MAPPING FOR CURRENT_USER SERVER $kind OPTIONS ($secrets)});
	# Twice, so that there are older objects.
	$node->safe_psql('postgres', "CREATE INDEX remote ON gloss USING vdb (embedding) WITH (store = $kind, chunk_size = 1000); REINDEX INDEX remote");
	$right = right_rows($node, $settings, $search);
	foreach my $case (@reads)
	{
		reading($kind, $standin, $read, @{$case}) if $kind eq 's5' || $on_s3{ $case->[0] };
	}
	flipped($kind, $standin, $read);
	connections($kind, $standin);
	writes($kind, $standin, $method, $write, $read);
	return;
}

my $blobs = "$ENV{TESTDIR}/blobs";
my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete', '--directory', $blobs);
a_store('s5', $portal, "type 's5', url '$portal->{url}'", "auth_token 'sesame'", '^/z', 'POST', '^/s5/upload$');

# Redirects: for ever; and to another host, which gets no token.
reading('s5', $portal, '^/z', 'redirects in a circle', 'redirect_loop', {}, '08006', qr/redirected too often/);
my $other = VdbStandin->start('s5_portal.py', '--directory', $blobs);
(my $elsewhere = $other->{url}) =~ s/127\.0\.0\.1/localhost/;
reading('s5', $portal, '^/z', 'redirects to another host', 'redirect', { to => $elsewhere }, '');
my $asked = $other->records(method => 'GET');
cmp_ok(scalar @{$asked}, '>', 0, 'the other host was asked');
is_deeply([ grep { $_ eq 'authorization' } map { @{ $_->{header_names} } } @{$asked} ], [], 'without the token');
is_deeply([ grep { $_ eq 'authorization' } map { @{ $_->{header_names} } } @{ $portal->records(method => 'GET', path => '^/z') } ] ? 'there' : '',
	'there', 'which the portal itself gets');

# A name that nobody knows.
my $session = cold();
ask($session, q{ALTER SERVER s5 OPTIONS (SET url 'http://no-such-host.invalid')});
my ($out, $err) = ask($session, $search);
like($err, qr/ERROR:  08006: store "s5", object "[^"]+": could not resolve its host name/, 's5, no such host: the error');
ask($session, "ALTER SERVER s5 OPTIONS (SET url '$portal->{url}')");
answers_again($session, $search, $right, 's5, no such host');
$session->quit;
$node->safe_psql('postgres', 'DROP INDEX remote');
gc($node);
undef $portal;

SKIP:
{
	my $s3 = VdbStandin->start('s3_server.py') or skip $VdbStandin::unavailable, 1;
	a_store('s3', $s3, "type 's3', endpoint '$s3->{url}', bucket '$s3->{bucket}', region '$s3->{region}', path_style 'on'",
		"access_key_id '$s3->{access_key_id}', secret_access_key '$s3->{secret_access_key}'", '[.]bin$', 'PUT', '[.]bin$');
	reading('s3', $s3, '[.]bin$', 'redirect', 'redirect_loop', {}, '08006', qr/refused \(HTTP 307/);
	$node->safe_psql('postgres', 'DROP INDEX remote');
	gc($node);
}

# A disk that is full, to a directory: a limit on the size of the backend's files, below that of an object.
my $path = new_store('directory');
$node->safe_psql('postgres', qq{
	CREATE SERVER directory FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$path');
	VACUUM gloss; CHECKPOINT});
$session = session($node, $settings);
my ($pid) = ask($session, 'SELECT pg_backend_pid()');
my $sql = 'CREATE INDEX remote ON gloss USING vdb (embedding) WITH (store = directory, chunk_size = 3000)';
is(system('prlimit', '--pid', $pid, '--fsize=3000000:'), 0, 'files of the backend may have 3 MB');
(undef, $err) = ask($session, $sql);
like($err, qr/ERROR:  53100: store "directory", object "[^"]+": could not write: File too large/, 'directory, disk full: the error');
is(`find '$path' -type f -name '*.tmp*'`, '', 'directory, disk full: no half of an object');
is(system('prlimit', '--pid', $pid, '--fsize=unlimited:'), 0, 'files may be large again');
answers_again($session, $sql, undef, 'directory, disk full');
answers_again($session, $search, right_rows($node, $settings, $search), 'directory, disk full: the index');
$session->quit;
my @large = grep { -s "$path/$_" > 3_000_000 } objects($path);
cmp_ok(scalar @large, '>', 0, 'an object is larger than the limit was');
gc($node);
is_clean($node, $path, 'directory, disk full');
done_testing();
