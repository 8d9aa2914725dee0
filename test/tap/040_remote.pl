# Indexes whose objects are on an S5 portal or in an S3 bucket: the right rows, few requests, and for
# each fault of the store the right rows all the same or an error that says what is wrong.
use strict;
use warnings;

use MIME::Base64 qw(decode_base64url);
use PostgreSQL::Test::Utils;
use Test::More;
use VdbIndex;
use VdbRemote;
use VdbStandin;
use VdbTest;

# Statements are not logged: those that make mappings hold secrets.
my $node = new_node('remote', conf => "autovacuum = off\nvdb.allow_http = on\nmax_connections = 120\n"
	  . "max_parallel_maintenance_workers = 0\nvdb.gc_retention = 0\nlog_statement = none\n");
load_gloss($node, 6000);
load_queries($node);
# Distances too, so that a wrong one would show.
$node->safe_psql('postgres', q{
	CREATE FUNCTION answer(first int, n int) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE q vector; part text; answer text := '';
	BEGIN
	  FOR q IN SELECT embedding FROM held_out WHERE id >= first ORDER BY id LIMIT n LOOP
	    SELECT string_agg(s.id || ':' || s.d, ',') INTO part
	    FROM (SELECT id, embedding <-> q AS d FROM gloss ORDER BY embedding <-> q LIMIT 10) s;
	    answer := answer || ';' || part;
	  END LOOP;
	  RETURN answer;
	END $$});
my $search = 'SET enable_seqscan = off; SET enable_sort = off; SELECT answer(%d, %d)';
sub answer { my ($first, $n) = @_; return $node->safe_psql('postgres', sprintf $search, $first, $n); }
sub try_answer { my ($first, $n, $before) = @_; return $node->psql('postgres', ($before // '') . sprintf $search, $first, $n); }

# The local index's answers are the ones to give. (Another build would have another rotation.)
my $recall = q{
	SET jit = off;
	CREATE TEMP TABLE truth AS SELECT q.id, array_agg(t.id) AS ids FROM (SELECT * FROM held_out WHERE id < 40) q,
	  LATERAL (SELECT id FROM gloss ORDER BY embedding <-> q.embedding LIMIT 10) t GROUP BY q.id;
	SET enable_seqscan = off; SET enable_sort = off;
	SELECT round(avg((SELECT count(*) FROM unnest(truth.ids) i WHERE i = ANY(found.ids)) / 10.0), 3) FROM truth JOIN
	  (SELECT q.id, array_agg(t.id) AS ids FROM (SELECT * FROM held_out WHERE id < 40) q,
	   LATERAL (SELECT id FROM gloss ORDER BY embedding <-> q.embedding LIMIT 10) t GROUP BY q.id) found USING (id)};

# An empty cache, for all sessions.
sub cold { $node->restart; return; }

# What nobody may learn who hears the wire: pieces of vectors, of texts, of keys, and of what objects hold.
sub plain_pieces
{
	my ($kind, $standin, $token) = @_;
	my %pieces = ("the database's key" => [ pack 'H*', $node->safe_psql('postgres', q{SELECT encode(key, 'hex') FROM vdb.master_key}) ]);
	# Little-endian, as in memory.
	$pieces{'a vector'} = [ map { pack 'f<4', split /,/ } split /\n/, $node->safe_psql('postgres',
		q{SELECT translate((embedding::real[])[i * 10 + 1:i * 10 + 4]::text, '{}', '') FROM gloss, generate_series(0, 4) i WHERE id % 1000 = 0}) ];
	$pieces{'a text'} = [ split /\n/, $node->safe_psql('postgres', q{SELECT left(gloss, 40) FROM gloss WHERE length(gloss) >= 20 AND id % 100 = 0}) ];
	foreach my $line (split /\n/, $node->safe_psql('postgres',
			q{SELECT kind, vdb.chunk_cid('remote', number) FROM vdb.index_objects('remote')}))
	{
		my ($object, $cid) = split /\|/, $line;
		my $key = substr decode_base64url(substr $cid, 1), 36, 32;
		push @{ $pieces{"an object's key"} }, $key, unpack('H*', $key);
		# Codes, vectors, centroids, from all over the object: not what is padding, or repeats itself.
		next unless $kind eq 's5' && -d "$ENV{VDB_TEST}/../build/npm/s5/node_modules";
		local $ENV{S5_TOKEN} = $token;
		my $reader = "$ENV{VDB_TEST}/store/node/read_blob.mjs";
		open my $pipe, '-|:raw', 'node', $reader, "$ENV{VDB_TEST}/../build/npm/s5", $standin->{url}, $cid or die $!;
		my $plain = do { local $/ = undef; <$pipe> };
		close $pipe or die "the object of $cid was not read";
		foreach my $at (map { $_ * 4096 } 0 .. length($plain) / 4096 - 1)
		{
			my $piece = substr $plain, $at, 24;
			push @{ $pieces{"what the $object object holds"} }, $piece if $piece !~ /(.)\1\1/s;
		}
	}
	cmp_ok(scalar @{ $pieces{$_} }, '>', $_ =~ /database/ ? 0 : 1, "$kind: $_: there is something to look for") foreach sort keys %pieces;
	return \%pieces;
}

# In both directions, since the record was last forgotten.
sub is_secret
{
	my ($kind, $standin, $pieces, $name) = @_;
	my $wire = $standin->wire;
	foreach my $what (sort keys %{$pieces})
	{
		is(scalar(grep { index($wire, $_) >= 0 } @{ $pieces->{$what} }), 0, "$kind, $name: $what is not on the wire");
	}
	return length $wire;
}

sub a_store
{
	my ($kind, $standin, $options, $secrets, $secret, $token) = @_;
	$node->safe_psql('postgres', qq{
		CREATE SERVER $kind FOREIGN DATA WRAPPER vdb_store OPTIONS ($options);
		CREATE USER MAPPING FOR CURRENT_USER SERVER $kind OPTIONS ($secrets)});
	is($node->safe_psql('postgres', "SELECT string_agg(step || ' ' || ok, ',') FROM vdb.store_check('$kind')"),
		($kind eq 's5' ? 'version true,' : '') . 'write true,size true,range true,verify true,remove true', "$kind: a check of the store");
	my $truth = $node->safe_psql('postgres', $recall);
	$standin->forget;
	$node->safe_psql('postgres', "CREATE INDEX remote ON gloss USING vdb (embedding) WITH (store = $kind, chunk_size = 2000)");
	cmp_ok($node->safe_psql('postgres', $recall), '>=', 0.93, "$kind: recall");
	my $right = answer(0, 40);
	# A token is in its header and nowhere else; what signs requests is not sent at all.
	my $asked = $standin->wire(sent => 0);
	if (defined $token) { cmp_ok($asked =~ s/^authorization: bearer \Q$token\E\r$//gim, '>', 5, "$kind: the token was sent"); }
	is(index($asked, $secret), -1, "$kind: no secret in what was sent in full");

	# What travelled is ciphertext: no vector, no text, no code, no key.
	my $pieces = plain_pieces($kind, $standin, $token);
	cmp_ok(is_secret($kind, $standin, $pieces, 'a build'), '>', 1_000_000, "$kind: the wire was recorded");

	# Cold: centroids, then what the search needs, in few requests; the next finds it there.
	cold();
	$standin->forget;
	answer(1, 1);
	my $summary = $standin->summary(method => 'GET');
	cmp_ok($summary->{requests}, '>', 0, "$kind: a cold search asks the store");
	cmp_ok($summary->{requests}, '<=', 60, "$kind: not often");
	cmp_ok($summary->{response_bytes}, '<', 5_000_000, "$kind: nor for much");
	cmp_ok(is_secret($kind, $standin, $pieces, 'a search'), '>', 100_000, "$kind: a search was recorded, too");
	$standin->forget;
	answer(1, 1);
	is($standin->summary->{requests}, 0, "$kind: what is cached is not asked for");

	# Each fault: once, and the store's other answers help; or always, and the query ends in an error.
	my %faults = (
		cut => [ { at => 1000, reset => 1 } ], flip => [ { offset => 40000, bit => 3 } ], other_object => [ {} ],
		wrong_content_range => [ {} ], ignore_range => [ {}, 1 ], status => [ { status => 503 } ], reset => [ {} ]);
	foreach my $fault (sort keys %faults)
	{
		my ($how, $harmless) = @{ $faults{$fault} };
		cold();
		$standin->fault($fault, %$how, ranged => \1, method => 'GET', times => 1);
		is(answer(0, 3), join(';', (split /;/, $right)[ 0 .. 3 ]), "$kind: $fault once: the right rows");
		$standin->clear_faults;
		next if $fault eq 'flip';    # hits one offset only, which the next search need not read
		cold();
		$standin->fault($fault, %$how, ranged => \1, method => 'GET', times => undef);
		my ($code, $out, $err) = try_answer(0, 3, "SET vdb.request_timeout = '3s';");
		if ($harmless) { is($out, join(';', (split /;/, $right)[ 0 .. 3 ]), "$kind: $fault: the right rows"); }
		else { like($err, qr/ERROR:.*(store "$kind"|index "remote")/, "$kind: $fault for good: an error"); is($out, '', "$kind: and no rows"); }
		$standin->clear_faults;
		wait_until_it_answers($kind, $right);
	}

	# The store is down: everything but a search that needs bytes goes on.
	cold();
	answer(0, 1);
	$standin->down;
	is(answer(0, 1), join(';', (split /;/, $right)[ 0 .. 1 ]), "$kind: down: a search of what is cached");
	my ($code, $out, $err) = $node->psql('postgres', q{
		INSERT INTO gloss SELECT 100000 + id, 'x', embedding FROM gloss WHERE id < 5;
		UPDATE gloss SET gloss = 'y' WHERE id = 100003; DELETE FROM gloss WHERE id >= 100000; VACUUM gloss; CREATE TABLE other_one (i int); DROP TABLE other_one});
	is($err, '', "$kind: down: INSERT, UPDATE, DELETE, VACUUM, DDL");
	($code, $out, $err) = try_answer(20, 20, "\\set VERBOSITY verbose\nSET vdb.request_timeout = '2s';");
	like($err, qr/ERROR:  08006: .*"$kind"/, "$kind: down: 08006, and the store is named");
	$standin->up;
	wait_until_it_answers($kind, $right);

	# Who has no patience has found out nothing for the others.
	cold();
	$standin->set(latency_ms => 100);
	(undef, undef, $err) = try_answer(0, 1, "SET vdb.request_timeout = '20ms';");
	like($err, qr/ERROR:.*"$kind"/, "$kind: an impatient session");
	is(answer(0, 1), join(';', (split /;/, $right)[ 0 .. 1 ]), "$kind: and one that is not");
	$standin->set(latency_ms => 0);

	# A hundred sessions want the same bytes, at the same moment: each frame is fetched once.
	cold();
	$standin->forget;
	$standin->set(latency_ms => 100);
	my $gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(5)');
	my @sessions = map { start_sql($node, 'DO $$ BEGIN PERFORM pg_advisory_lock_shared(5); END $$;' . sprintf $search, 5, 1) } 1 .. 100;
	wait_until($node, q{SELECT count(*) = 100 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	$gate->quit;
	my @answers = map { (finish_sql($_))[0] } @sessions;
	$standin->set(latency_ms => 0);
	my %different = map { $_ => 1 } @answers;
	is_deeply([ keys %different ], [ ';' . (split /;/, $right)[6] . "\n" ], "$kind: a hundred sessions at once, one answer");
	my %frames;
	foreach my $record (@{ $standin->records(method => 'GET') })
	{
		# Stored frames have 16,400 bytes, of which a range has all but at an object's end.
		my ($from, $to) = $record->{range} =~ /^bytes=(\d+)-(\d+)$/ or next;
		$frames{"$record->{target} $_"}++ foreach int($from / 16400) .. int($to / 16400);
	}
	cmp_ok(scalar keys %frames, '>', 10, "$kind: they needed frames");
	is_deeply([ grep { $frames{$_} > 1 } sort keys %frames ], [], "$kind: no frame is asked for twice");

	# Ends while it waits: nothing is left behind.
	foreach my $end ('timeout', 'cancel', 'terminate')
	{
		cold();
		answer(0, 0);
		$standin->fault('stall', seconds => 60, ranged => \1, method => 'GET', times => undef);
		my $session = start_sql($node, "SET application_name = 'waiting'; "
			  . ($end eq 'timeout' ? "SET statement_timeout = '300ms'; " : '') . sprintf $search, 7, 1);
		if ($end ne 'timeout')
		{
			wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event_type = 'Extension'});
			$node->safe_psql('postgres', sprintf q{SELECT pg_%s_backend(pid) FROM pg_stat_activity WHERE application_name = 'waiting'}, $end);
		}
		my (undef, $error) = finish_sql($session);
		like($error, $end eq 'terminate' ? qr/terminating connection/ : $end eq 'cancel' ? qr/user request/ : qr/statement timeout/,
			"$kind: $end ends a search that waits for the store");
		is($node->safe_psql('postgres', 'SELECT pinned FROM vdb.stat_cache'), 0, "$kind: $end: no pin is left");
		$standin->clear_faults;
		wait_until_it_answers($kind, $right);
	}
	index_is_whole($node, 'gloss', 'remote', 'embedding', '(SELECT embedding FROM held_out WHERE id = 3)', $kind);
	$node->safe_psql('postgres', 'DROP INDEX remote');
	$standin->forget;
	cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM vdb.gc() WHERE action = 'removed'}), '>', 3, "$kind: a collection");
	cmp_ok(is_secret($kind, $standin, $pieces, 'a collection'), '>', 1000, "$kind: a collection was recorded, too");
	return;
}

# Without a restart, and soon: others may have to wait for the next try.
sub wait_until_it_answers
{
	my ($kind, $right) = @_;
	for (1 .. 300)
	{
		my ($code, $out, $err) = try_answer(0, 40);
		return is($out, $right, "$kind: then the right rows again") if $err eq '';
		last unless $err =~ /store "$kind"/;
		select undef, undef, undef, 0.1;
	}
	return fail("$kind: it answers again");
}

my $portal = VdbStandin->start('s5_portal.py', '--token', 'sesame', '--allow-delete', '--wire');
a_store('s5', $portal, "type 's5', url '$portal->{url}'", "auth_token 'sesame'", 'sesame', 'sesame');

# A token in a file: when it has been replaced, the same session uses the new one.
{
	my $token = PostgreSQL::Test::Utils::tempdir() . '/token';
	append_to_file($token, 'old');
	$node->safe_psql('postgres', q{ALTER USER MAPPING FOR CURRENT_USER SERVER s5 OPTIONS (DROP auth_token)});
	$node->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER s5 OPTIONS (ADD auth_token_file '$token')");
	my ($code, $out, $err) = $node->psql('postgres', qq{SELECT bool_and(ok) FROM vdb.store_check('s5');
\\! printf sesame > $token
SELECT bool_and(ok) FROM vdb.store_check('s5');}, on_error_stop => 0);
	is($out, "f\nt", 's5: a token in a file, replaced');
}
$node->safe_psql('postgres', 'DROP SERVER s5 CASCADE');
undef $portal;

SKIP:
{
	my $passing = 'a-passing-word';
	my $s3 = VdbStandin->start('s3_server.py', '--wire', '--session-token', $passing) or skip $VdbStandin::unavailable, 1;
	a_store('s3', $s3, "type 's3', endpoint '$s3->{url}', bucket '$s3->{bucket}', region '$s3->{region}', path_style 'on'",
		"access_key_id '$s3->{access_key_id}', secret_access_key '$s3->{secret_access_key}', session_token '$passing'", $s3->{secret_access_key});
	shows_no_secret($node, 'sesame', $s3->{access_key_id}, $s3->{secret_access_key}, $passing);
}

done_testing();
