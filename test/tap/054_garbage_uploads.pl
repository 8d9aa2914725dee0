# kill -9 at each step of an upload, whole and in parts, to a portal and to a bucket: a collection leaves neither an object
# nor a part of one; of an upload that goes on it takes nothing.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(usleep);
use VdbGarbage;
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

my $node = new_node('garbage_uploads', conf => "restart_after_crash = on\nautovacuum = off\nvdb.gc_retention = 0\n"
	  . "vdb.allow_http = on\nmax_parallel_maintenance_workers = 0\nmaintenance_work_mem = '256MB'\n");
define_helpers($node);
# Chunks of the wide one are larger than what a bucket takes in one piece.
$node->safe_psql('postgres', q{
	CREATE TABLE small (id int, v vector(16));
	INSERT INTO small SELECT i, vt.row(i, 16) FROM generate_series(1, 2100) i;
	CREATE TABLE wide (id int, v vector(2100));
	ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
	INSERT INTO wide SELECT i, (vt.row(i, 40)::real[] || array_fill(0.5::real, ARRAY[2060]))::vector FROM generate_series(1, 2200) i});

sub build_of { my ($table, $store) = @_; return "CREATE INDEX built ON $table USING vdb (v) WITH (store = $store)"; }

# A build that a fault has stopped, and the process that runs it.
sub stopped
{
	my ($standin, $table, $store, $how) = @_;
	$standin->fault('stall', seconds => 600, times => undef, %{$how});
	my $build = start_sql($node, build_of($table, $store));
	wait_for_hit($standin);
	# With `at` it stops when the work has been done.
	wait_for_records($standin, sub { grep { @{ $_->{faults} } && defined $_->{status} } @_ }) if defined $how->{at};
	return ($build, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%'"));
}

# Until the stand-in's records are as wanted.
sub wait_for_records
{
	my ($standin, $wanted) = @_;
	for (1 .. $patience)
	{
		return if $wanted->(@{ $standin->records });
		usleep(100_000);
	}
	die 'the stand-in did not come to that';
}

# kill -9; what it had sent and was not stopped has been done before this returns.
sub strike
{
	my ($standin, $build, $pid) = @_;
	kill_backend($node, $pid);
	finish_sql($build);
	$standin->clear_faults;
	wait_for_records($standin, sub { !grep { !@{ $_->{faults} } && !defined $_->{ended} } @_ });
	$standin->forget;
	return;
}

# `steps`: where each build is stopped and killed. left: what the store has, of objects and unfinished uploads.
sub killed
{
	my ($standin, $table, $store, $left, @steps) = @_;
	while (my ($name, $how) = splice @steps, 0, 2)
	{
		my ($build, $pid) = stopped($standin, $table, $store, $how);
		strike($standin, $build, $pid);
		my $there = $left->();
		my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object');
		cmp_ok($rows, '>', 0, "$store, killed $name: the ledger knows of it");
		my $reason = gc($node);
		unlike($reason, qr/kept/, "$store, killed $name: all of it is removed");
		is($left->(), '', "$store, killed $name: nothing is left (of $there)");
		is($node->safe_psql('postgres', 'SELECT count(*) FROM vdb.object'), 0, "$store, killed $name: nor in the ledger");
	}
	return;
}

# The build goes through all the same, and a collection of the rest leaves it whole.
sub goes_on
{
	my ($table, $store) = @_;
	$node->safe_psql('postgres', build_of($table, $store));
	unlike(gc($node), qr/remove/, "$store: nothing of an index is garbage");
	index_is_whole($node, $table, 'built', 'v', "(SELECT v FROM $table WHERE id = 7)", "$store, in the end");
	$node->safe_psql('postgres', 'DROP INDEX built; SELECT count(*) FROM vdb.gc()');
	return;
}

my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
$node->safe_psql('postgres', qq{
	CREATE SERVER portal FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER portal OPTIONS (auth_token 'sesame')});
my %post = (method => 'POST', path => '^/s5/upload$');
killed($portal, 'small', 'portal', sub { return join ' ', @{ $portal->command('GET', '/blobs') } },
	'before the first byte' => { %post, upload_at => 0 },
	'in the body' => { %post, upload_at => 10_000 },
	'before it is stored' => {%post},
	'when it has been stored' => { %post, at => 0 },
	'between two objects' => { %post, skip => 1 },
	'before it is read back' => { method => 'GET', path => '^/z' });
goes_on('small', 'portal');
# By tus: what has come of an upload is no object before all has.
$node->safe_psql('postgres', qq{
	CREATE SERVER pieces FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}', max_upload '64');
	CREATE USER MAPPING FOR CURRENT_USER SERVER pieces OPTIONS (auth_token 'sesame')});
my %patch = (method => 'PATCH', path => '^/s5/upload/tus/');
killed($portal, 'small', 'pieces', sub { return join ' ', @{ $portal->command('GET', '/blobs') } },
	'before it is begun' => { method => 'POST', path => '^/s5/upload/tus$' },
	'in a piece' => { %patch, skip => 1, upload_at => 10_000 },
	'between two pieces' => { %patch, skip => 1 },
	'before it is read back' => { method => 'GET', path => '^/z' });
goes_on('small', 'pieces');

SKIP:
{
	my $s3 = VdbStandin->start('s3_server.py') or skip $VdbStandin::unavailable, 1;
	$node->safe_psql('postgres', qq{
		CREATE SERVER bucket FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's3', endpoint '$s3->{url}', bucket '$s3->{bucket}',
			region '$s3->{region}', path_style 'true', prefix 'vdb/');
		CREATE USER MAPPING FOR CURRENT_USER SERVER bucket
			OPTIONS (access_key_id '$s3->{access_key_id}', secret_access_key '$s3->{secret_access_key}')});
	my $uploads = sub { return map { $_->[1] } @{ $s3->command('GET', '/uploads') } };
	my $left = sub { return join ' ', sort $uploads->(), grep { !m{/[.]records/} } @{ $s3->command('GET', '/keys') } };
	my %put = (method => 'PUT', path => '[.]bin$');
	killed($s3, 'small', 'bucket', $left,
		'before the first byte' => { %put, upload_at => 0 },
		'in the body' => { %put, upload_at => 10_000 },
		'before it is stored' => {%put},
		'when it has been stored' => { method => 'HEAD', path => '[.]bin$' },
		'between two objects' => { %put, skip => 1 },
		'before it is read back' => { method => 'GET', path => '[.]bin$' });
	my %create = (method => 'POST', query => '^uploads=');
	my %complete = (method => 'POST', query => '^uploadId=');
	killed($s3, 'wide', 'bucket', $left,
		'before an upload in parts' => {%create},
		'when it has begun' => { %create, at => 0 },
		'in the first part' => { %put, query => 'partNumber=1&', upload_at => 1_000_000 },
		'between two parts' => { %put, query => 'partNumber=2&' },
		'before the parts are put together' => {%complete},
		'when they have been' => { %complete, at => 0 });

	# An upload that nobody finishes, and one that a build goes on with.
	my ($build, $pid) = stopped($s3, 'wide', 'bucket', { %put, query => 'partNumber=2&' });
	strike($s3, $build, $pid);
	my ($abandoned) = $uploads->();
	($build, $pid) = stopped($s3, 'wide', 'bucket', { %put, query => 'partNumber=2&' });
	is(scalar(my @both = $uploads->()), 2, 'bucket: two uploads in parts');
	like(gc($node, 'true'), qr/^would remove\|an upload in parts that no build goes on with$/m, 'bucket: a dry run says so');
	is(scalar(@both = $uploads->()), 2, 'bucket: and gives none up');
	like(gc($node), qr/^removed\|an upload in parts that no build goes on with$/m, 'bucket: a collection gives one up');
	my @one = $uploads->();
	is(scalar @one, 1, 'bucket: only one');
	isnt($one[0], $abandoned, 'bucket: that of the build which had been killed');
	# The server drops the connection, and the part is sent again.
	$s3->clear_faults;
	$s3->down;
	$s3->up;
	is((finish_sql($build))[1], '', 'bucket: the other build ends');
	index_is_whole($node, 'wide', 'built', 'v', '(SELECT v FROM wide WHERE id = 7)', 'bucket, after a collection');
	# Where they cannot be listed, a collection says so and does the rest.
	$node->safe_psql('postgres', 'DROP INDEX built');
	$s3->fault('status', status => 403, method => 'GET', query => 'uploads=$', times => undef);
	my $reasons = gc($node);
	like($reasons, qr/^kept\|unfinished uploads could not be listed: .*access denied/m, 'bucket: uploads that cannot be listed');
	like($reasons, qr/^removed\|no index uses it/m, 'bucket: do not keep objects');
	$s3->clear_faults;
	is($left->(), '', 'bucket: nothing is left');
	goes_on('wide', 'bucket');
	# Nor does a purge leave a part.
	($build, $pid) = stopped($s3, 'wide', 'bucket', { %put, query => 'partNumber=2&' });
	strike($s3, $build, $pid);
	$node->safe_psql('postgres', q{SELECT * FROM vdb.purge('bucket')});
	is($left->(), '', 'bucket: nothing is left by a purge');
	# Not even where a collection has left nothing but that.
	($build, $pid) = stopped($s3, 'wide', 'bucket', { %put, query => 'partNumber=2&' });
	strike($s3, $build, $pid);
	$s3->fault('status', status => 403, method => 'GET', query => 'uploads=$', times => undef);
	gc($node);
	$s3->clear_faults;
	is($left->(), ($uploads->())[0], 'bucket: an upload in parts, and nothing else');
	unlike(gc($node), qr/remove/, 'bucket: which is no business of a collection');
	is($node->safe_psql('postgres', q{SELECT action, reason FROM vdb.purge('bucket')}), 'removed|an upload in parts that no build goes on with',
		'bucket: a purge removes it');
	is($left->(), '', 'bucket: nothing is left');
}
done_testing();
