# Manifests in a store and their mirror in the catalog: what a crash between commit and mirror leaves out is mended, and what an
# index no longer needs goes.
use strict;
use warnings;

use File::Find ();
use HTTP::Tiny;
use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbStandin;
use VdbTest;

my $node = new_node('manifest', conf => "autovacuum = off\nmin_parallel_table_scan_size = 0\n"
	  . "max_parallel_maintenance_workers = 2\nvdb.gc_retention = 0\nvdb.allow_http = on\n");
define_helpers($node);
my $store = $node->basedir . '/store';
mkdir $store or die "mkdir: $!";
$node->safe_psql('postgres', qq{
	CREATE SERVER dir FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '$store');
	CREATE TABLE t AS SELECT i AS id, vt.row(i, 16) AS v FROM generate_series(1, 5000) i;
	ALTER TABLE t ALTER v TYPE vector(16), SET (parallel_workers = 2)});

# The manifests in the store, by their path.
sub stored
{
	my %found;
	File::Find::find({ no_chdir => 1, wanted => sub { $found{$_} = slurp_file($_) if m{/manifest-\d+\.json$} } }, $store);
	return \%found;
}
my $mirrored = q{SELECT count(*) = 1 FROM vdb.manifest m, vdb.manifest(%s) j WHERE m.indexrelid = %s::regclass
	AND m.index = (j->>'index')::uuid AND (SELECT count(*) FROM vdb.chunk c WHERE c.indexrelid = m.indexrelid) = jsonb_array_length(j->'chunks')};
sub is_mirrored { my $index = "'$_[0]'"; return sprintf $mirrored, $index, $index; }

# A parallel build.
$node->safe_psql('postgres', "CREATE INDEX t_v ON t USING vdb (v) WITH (store = dir, chunk_size = 1000)");
wait_until($node, is_mirrored('t_v'));
my @manifests = values %{ stored() };
is(scalar @manifests, 1, 'one manifest is stored');
is($node->safe_psql('postgres', "SELECT vdb.manifest('t_v') = \$m\$$manifests[0]\$m\$::jsonb"), 't', 'it is what the pages say');
is($node->safe_psql('postgres', q{SELECT string_agg(action || ' ' || (reason ~ 't_v'), ',') FROM vdb.gc(true) WHERE object ~ 'manifest'}),
	'kept true', 'a collection knows that the index uses it');

# The server dies after the commit and before the worker could write.
sub without_mirror
{
	my ($sql) = @_;
	my $holder = start_sql($node, q{BEGIN; LOCK TABLE vdb.manifest IN SHARE UPDATE EXCLUSIVE MODE; SET application_name = 'holder';
		SELECT pg_sleep(600)});
	wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'holder'});
	$node->safe_psql('postgres', $_) foreach @{$sql};
	wait_until($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'vdb_ext mirror' AND wait_event_type = 'Lock'});
	kill_server($node);
	finish_sql($holder);
	return;
}
without_mirror([ 'REINDEX INDEX t_v', 'CREATE INDEX second ON t USING vdb (v vector_cosine_ops) WITH (store = dir)' ]);
is($node->safe_psql('postgres', is_mirrored('t_v')), 'f', 'after a crash: the mirror has the index before');
is($node->safe_psql('postgres', is_mirrored('second')), 'f', 'and none of the other');
is($node->safe_psql('postgres', "SELECT vdb.manifest('second')->>'metric'"), 'cosine', 'the pages know');
$node->safe_psql('postgres', 'SELECT * FROM vdb.gc()');
is($node->safe_psql('postgres', is_mirrored($_)), 't', "a collection mends it: $_") foreach qw(t_v second);
is(scalar keys %{ stored() }, 2, 'and removes the manifest of the index that was replaced');

# Or the next build's worker does.
without_mirror([ 'REINDEX INDEX t_v' ]);
is($node->safe_psql('postgres', is_mirrored('t_v')), 'f', 'after another crash');
$node->safe_psql('postgres', 'REINDEX INDEX second');
wait_until($node, is_mirrored($_)) foreach qw(t_v second);
pass('the next worker mends it');

# A mirror that is wrong misleads nobody.
$node->safe_psql('postgres', q{UPDATE vdb.manifest SET cid = 'zWrong', total_vectors = 1; DELETE FROM vdb.chunk});
index_is_whole($node, 't', 't_v', 'v', "(SELECT v FROM t WHERE id = 3)", 'a mirror that is wrong');
$node->safe_psql('postgres', 'SELECT * FROM vdb.gc()');
is($node->safe_psql('postgres', is_mirrored($_)), 't', "and is mended: $_") foreach qw(t_v second);

# No worker is left: the commit goes through, and the log says it.
my $offset = -s $node->logfile;
$node->safe_psql('postgres', q{ALTER SYSTEM SET max_worker_processes = 1; ALTER SYSTEM SET max_parallel_maintenance_workers = 0;
	ALTER SYSTEM SET max_logical_replication_workers = 0});
$node->restart;
my $held = start_sql($node, q{BEGIN; LOCK TABLE vdb.manifest IN SHARE UPDATE EXCLUSIVE MODE; SET application_name = 'holder'; SELECT pg_sleep(600)});
wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'holder'});
$node->safe_psql('postgres', "ALTER INDEX second SET (store = local)");
$node->safe_psql('postgres', 'REINDEX INDEX second');
wait_until($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'vdb_ext mirror' AND wait_event_type = 'Lock'});
$node->safe_psql('postgres', 'REINDEX INDEX second');
like(slurp_file($node->logfile, $offset), qr/no background worker is left to bring "vdb.manifest" up to date/, 'no worker is left');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'});
finish_sql($held);
wait_until($node, q{SELECT count(*) = 0 FROM vdb.manifest WHERE indexrelid = 'second'::regclass});
$node->safe_psql('postgres', q{ALTER SYSTEM RESET ALL});
$node->restart;

# Two-phase commit: another session commits, and nobody is told.
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 2');
$node->restart;
$node->safe_psql('postgres', "BEGIN; REINDEX INDEX t_v; PREPARE TRANSACTION 'reindex'");
$node->safe_psql('postgres', "COMMIT PREPARED 'reindex'");
$node->safe_psql('postgres', 'SELECT * FROM vdb.gc()');
is($node->safe_psql('postgres', is_mirrored('t_v')), 't', 'a collection mirrors what was committed by another session');

# On S5 the CID in the mirror leads to the manifest. A bridge, which may rewrite JSON, has it under another name.
my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete');
foreach my $dialect (qw(portal bridge))
{
	$node->safe_psql('postgres', qq{
		CREATE SERVER $dialect FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url '$portal->{url}', dialect '$dialect');
		CREATE USER MAPPING FOR CURRENT_USER SERVER $dialect OPTIONS (auth_token 'sesame');
		CREATE INDEX on_$dialect ON t USING vdb (v) WITH (store = $dialect)});
	wait_until($node, is_mirrored("on_$dialect"));
	my ($name, $cid) = split /\|/, $node->safe_psql('postgres', qq{
		SELECT o.name, m.cid FROM vdb.object o, vdb.manifest m
		WHERE o.index = m.index AND m.indexrelid = 'on_$dialect'::regclass AND o.name ~ '/manifest-1[.]'});
	my $json = $dialect eq 'portal';
	like($name, $json ? qr/[.]json$/ : qr/[.]bin$/, "$dialect: the manifest's name");
	my $reply = HTTP::Tiny->new(proxy => undef, http_proxy => undef, default_headers => { Authorization => 'Bearer sesame' })
	  ->get($portal->{url} . ($json ? "/s5/blob/$cid" : "/s5/fs/$name"));
	ok($reply->{success}, "$dialect: it is there") or diag("$reply->{status} $reply->{reason}");
	is($node->safe_psql('postgres', "SELECT vdb.manifest('on_$dialect') = \$m\$$reply->{content}\$m\$::jsonb"), 't',
		"$dialect: and is what the pages say");
}

# All goes with the indexes.
$node->safe_psql('postgres', 'DROP TABLE t');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM vdb.manifest), (SELECT count(*) FROM vdb.chunk)'), '0|0', 'no row is left');
$node->safe_psql('postgres', 'SELECT * FROM vdb.gc()');
is_deeply([ keys %{ stored() } ], [], 'nor a manifest');

done_testing();
