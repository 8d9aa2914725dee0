# Stores over TLS, with authorities made by the test: a server whose certificate does not verify is
# refused before it is told anything, by searches, builds and vdb.store_check; nothing but tls_verify
# changes that.
use strict;
use warnings;

use JSON::PP;
use Test::More;
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

my $node = new_node('tls', conf => "autovacuum = off\nmax_parallel_maintenance_workers = 0\n");
define_helpers($node);
$node->safe_psql('postgres', q{
	CREATE TABLE item (id int, v vector(16));
	INSERT INTO item SELECT i, vt.row(i, 16) FROM generate_series(1, 2500) i});
# All lists are read.
my $settings = q{SET enable_seqscan = off; SET enable_sort = off; SET vdb.probes = 100000};
my $search = q{SELECT string_agg(id::text, ',') FROM (SELECT id FROM item ORDER BY v <-> vt.row(-7, 16) LIMIT 10) s};

# {ca}, and of each kind of certificate [certificate, key].
sub authority
{
	my ($name) = @_;
	my $json = `python3 '$ENV{VDB_TEST}/tools/throwaway_ca.py' '$ENV{TESTDIR}/$name'`;
	return decode_json($json);
}
my ($ours, $theirs) = (authority('ours'), authority('theirs'));
my $blobs = "$ENV{TESTDIR}/blobs";

# A portal that knows what has been stored so far.
sub portal
{
	my ($tls) = @_;
	return VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete', '--wire', '--directory', $blobs,
		defined $tls ? ('--tls', @{$tls}) : ());
}

my $good = portal($ours->{good});
$node->safe_psql('postgres', qq{
	CREATE SERVER archive FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$good->{url}', ca_file '$ours->{ca}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER archive OPTIONS (auth_token 'sesame')});
my $check = q{SELECT string_agg(concat_ws(' ', step, ok, message), ';') FROM vdb.store_check('archive')};
my $steps = q{SELECT string_agg(concat_ws(' ', step, ok), ',') FROM vdb.store_check('archive')};
is($node->safe_psql('postgres', $steps), 'version t,write t,size t,range t,verify t,remove t', 'a check over TLS');
$node->safe_psql('postgres', 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = archive)');
my $right = right_rows($node, $settings, $search);
$node->restart;
is($node->safe_psql('postgres', "$settings; $search"), $right, 'a search over TLS');
cmp_ok(length $good->wire(sent => 0), '>', 0, 'the portal was told something');

# Refused: a search of an empty cache, a build and a check; nothing has been said to the server. In the same
# session it works when the server is the right one again.
sub refused
{
	my ($name, $portal, $change, $back) = @_;
	$node->restart;
	my $session = session($node, $settings);
	$portal->forget;
	ask($session, "ALTER SERVER archive OPTIONS ($change)");
	my $why = qr/its certificate does not verify/;
	my ($out, $err) = ask($session, $search);
	like($err, qr/ERROR:  08006: store "archive", object "[^"]+": $why/, "$name: a search is refused");
	like($err, qr/DETAIL:  Index "item_v" is kept there/, "$name: and says which index");
	is($out, '', "$name: without a row");
	(undef, $err) = ask($session, 'CREATE INDEX other_v ON item USING vdb (v) WITH (store = archive)');
	like($err, qr/ERROR:  08006: store "archive"[^:]*: $why/, "$name: a build is refused");
	($out) = ask($session, $check);
	like($out, qr/^version f store "archive"[^;]*: $why[^;]*$/, "$name: so says a check");
	is_deeply($portal->records, [], "$name: it was asked nothing");
	is(length $portal->wire(sent => 0), 0, "$name: it was told nothing");
	ask($session, "ALTER SERVER archive OPTIONS ($back)");
	answers_again($session, $search, $right, $name);
	$session->quit;
	return;
}

refused('without ca_file', $good, 'DROP ca_file', "ADD ca_file '$ours->{ca}'");
refused('another authority', $good, "SET ca_file '$theirs->{ca}'", "SET ca_file '$ours->{ca}'");
refused('a ca_file that is not there', $good, "SET ca_file '$ENV{TESTDIR}/none'", "SET ca_file '$ours->{ca}'");
my $expired;
foreach my $kind ('wrong-host', 'not-yet', 'expired')
{
	my $portal = portal($ours->{$kind});
	refused("certificate $kind", $portal, "SET url '$portal->{url}'", "SET url '$good->{url}'");
	$expired = $portal;
}

# Unless that is switched off, by whoever made the server.
$node->restart;
$node->safe_psql('postgres', qq{ALTER SERVER archive OPTIONS (SET url '$expired->{url}', ADD tls_verify 'off')});
is($node->safe_psql('postgres', "$settings; $search"), $right, 'tls_verify off: an expired certificate will do');
$node->safe_psql('postgres', qq{ALTER SERVER archive OPTIONS (SET url '$good->{url}', DROP tls_verify)});
undef $expired;

# A redirect does not lead out of TLS.
my $plain = portal();
$node->restart;
my $session = session($node, $settings);
$good->fault('redirect', to => $plain->{url}, method => 'GET', path => '^/z', times => undef);
my ($out, $err) = ask($session, $search);
like($err, qr/ERROR:  08006: store "archive", object "[^"]+": redirected from https to http/, 'a redirect to http is refused');
is_deeply($plain->records, [], 'and not followed');
$good->clear_faults;
answers_again($session, $search, $right, 'redirect to http');
$session->quit;

SKIP:
{
	my $s3 = VdbStandin->start('s3_server.py', '--tls', @{ $ours->{good} }) or skip $VdbStandin::unavailable, 1;
	$node->safe_psql('postgres', qq{
		DROP INDEX item_v;
		CREATE SERVER bucket FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's3', endpoint '$s3->{url}', bucket '$s3->{bucket}',
			region '$s3->{region}', path_style 'on', ca_file '$ours->{ca}');
		CREATE USER MAPPING FOR CURRENT_USER SERVER bucket
			OPTIONS (access_key_id '$s3->{access_key_id}', secret_access_key '$s3->{secret_access_key}')});
	s/archive/bucket/ foreach $check, $steps;
	is($node->safe_psql('postgres', $steps), 'write t,size t,range t,verify t,remove t', 's3: a check over TLS');
	$node->safe_psql('postgres', 'CREATE INDEX item_v ON item USING vdb (v) WITH (store = bucket)');
	$right = right_rows($node, $settings, $search);
	$node->restart;
	is($node->safe_psql('postgres', "$settings; $search"), $right, 's3: a search over TLS');
	$s3->forget;
	$node->safe_psql('postgres', 'ALTER SERVER bucket OPTIONS (DROP ca_file)');
	like($node->safe_psql('postgres', $check), qr/^write f store "bucket"[^;]*: its certificate does not verify[^;]*$/,
		's3: without ca_file refused');
	is_deeply($s3->records, [], 's3: before it was asked anything');
}
done_testing();
