# What the tests of remote stores share: sessions that outlive an error, and waiting for a stand-in
# or for a store's breaker.
package VdbRemote;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(right_rows session ask begin_ask end_ask answers_again has_hit wait_for_hit shows_no_secret $patience);

# Tenths of a second that a test waits for what happens at once on an idle machine.
our $patience = 600;

# What the index at hand answers, which is what it has to answer whatever the store does: nearly always the exact rows,
# but its bounds may be wrong for one of them, as the rotation of the build would have it.
sub right_rows
{
	my ($node, $settings, $search) = @_;
	my $exact = $node->safe_psql('postgres', "SET enable_indexscan = off; $search");
	my $right = $node->safe_psql('postgres', "$settings; $search");
	my %exact = map { $_ => 1 } split /,/, $exact;
	cmp_ok(scalar(grep { $exact{$_} } split /,/, $right), '>=', 9, 'the index finds the nearest');
	return $right;
}

# A psql that goes on after errors, which it shows with their SQLSTATE.
sub session
{
	my ($node, $settings) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query('\set VERBOSITY verbose');
	$session->query_safe($settings) if defined $settings;
	return $session;
}

# What it writes to its standard output and error.
sub ask
{
	my ($session, $sql) = @_;
	my $out = $session->query($sql);
	my $err = $session->{stderr};
	# Otherwise query_safe would take it for the next one's.
	$session->{stderr} = '';
	return ($out, $err);
}

# The same in two steps: begun, it runs until something ends it.
sub begin_ask
{
	my ($session, $sql) = @_;
	$session->query_until(qr/begun\n/, "\\echo begun\n$sql;\n");
	return;
}

sub end_ask
{
	my ($session) = @_;
	return ask($session, '');
}

# In the same session, as soon as the breaker lets it ask the store again.
sub answers_again
{
	my ($session, $sql, $right, $name) = @_;
	my ($out, $err);
	for (1 .. $patience)
	{
		($out, $err) = ask($session, $sql);
		last unless $err =~ /is not asked again/;
		usleep(100_000);
	}
	is($err, '', "$name: then it works again");
	is($out, $right, "$name: as before") if defined $right;
	return;
}

# Whether the stand-in's newest fault has hit a request.
sub has_hit
{
	my ($standin) = @_;
	my $hits = $standin->hits;
	return @{$hits} && $hits->[-1][1] > 0;
}

# Until it has.
sub wait_for_hit
{
	my ($standin) = @_;
	for (1 .. $patience)
	{
		return if has_hit($standin);
		usleep(100_000);
	}
	die 'no request came';
}

# Nothing that was logged, by a server that does not log statements, and nothing that the views and a check of each store
# say holds one of the secrets.
sub shows_no_secret
{
	my ($node, @secrets) = @_;
	my %seen = (
		'the log' => slurp_file($node->logfile),
		'vdb.stat_store' => $node->safe_psql('postgres', 'SELECT * FROM vdb.stat_store'),
		'vdb.store_check' => $node->safe_psql('postgres', q{
			SELECT srvname, c FROM pg_foreign_server JOIN pg_foreign_data_wrapper w ON w.oid = srvfdw, vdb.store_check(srvname) c
			WHERE fdwname = 'vdb_store'}));
	foreach my $where (sort keys %seen)
	{
		isnt($seen{$where}, '', "$where: it says something");
		is(join(' ', grep { index($seen{$where}, $_) >= 0 } @secrets), '', "$where: and no secret");
	}
	return;
}

1;
