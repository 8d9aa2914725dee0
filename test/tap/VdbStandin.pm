# The stand-ins for remote stores, for TAP tests: programs of test/tools, driven through their
# control ports.
#
#   my $portal = VdbStandin->start('s5_portal.py', '--token', 'secret');
#   $portal->{url}, $portal->{storage}                       what the program says of itself
#   $portal->fault('status', status => 503, times => undef); see test/tools/faults.py
#   $portal->set(latency_ms => 20);                          see test/tools/fault_server.py
#   $portal->summary(path => '^/z')->{requests};             see test/tools/recorder.py
#   $portal->down; $portal->up;
#
# start() gives undef where npm cannot fetch what the program needs; $VdbStandin::unavailable says
# why, and the test skips. A stand-in ends with its object, and with the test.
package VdbStandin;

use strict;
use warnings;

use HTTP::Tiny;
use IPC::Open2;
use JSON::PP;

our $unavailable;

sub start
{
	my ($class, $program, @options) = @_;
	my $pid = open2(my $out, my $in, 'python3', "$ENV{VDB_TEST}/tools/$program", @options);
	my $line = <$out>;
	die "$program did not start\n" unless defined $line;
	my $self = bless { %{ decode_json($line) }, pid => $pid, in => $in, out => $out }, $class;
	# No proxy of the environment is to stand between.
	$self->{http} = HTTP::Tiny->new(proxy => undef, http_proxy => undef, https_proxy => undef);
	$unavailable = $self->{unavailable};
	return defined $unavailable ? undef : $self;
}

# What the control port answers, decoded. which: 'admin', or 'second_admin' of a second server.
sub command
{
	my ($self, $method, $path, $value, $which) = @_;
	my %request = defined $value ? (content => encode_json($value)) : ();
	my $answer = $self->{http}->request($method, $self->{ $which // 'admin' } . $path, \%request);
	die "$method $path: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return $answer->{content} if $path =~ m{^/wire};
	return decode_json($answer->{content});
}

sub query
{
	my ($self, %choice) = @_;
	my $text = $self->{http}->www_form_urlencode(\%choice);
	return length $text ? "?$text" : '';
}

sub fault
{
	my ($self, $kind, %how) = @_;
	return $self->command('POST', '/faults', { kind => $kind, %how });
}

sub seed { my ($self, %how) = @_; return $self->command('POST', '/seed', \%how); }
sub clear_faults { return $_[0]->command('DELETE', '/faults'); }
sub set { my ($self, %settings) = @_; return $self->command('POST', '/set', \%settings); }
sub down { return $_[0]->command('POST', '/down'); }
sub up { return $_[0]->command('POST', '/up'); }
sub forget { return $_[0]->command('DELETE', '/records'); }
sub records { my $self = shift; return $self->command('GET', '/records' . $self->query(@_)); }
sub summary { my $self = shift; return $self->command('GET', '/summary' . $self->query(@_)); }
sub wire { my $self = shift; return $self->command('GET', '/wire' . $self->query(@_)); }

# The hits of each fault rule, in the order in which they were added: [[kind, number], ...].
sub hits { return $_[0]->command('GET', '/faults'); }

sub DESTROY
{
	my ($self) = @_;
	local $?;
	close $self->{in} if $self->{in};
	waitpid $self->{pid}, 0 if $self->{pid};
	return;
}

1;
