# The wall between C++ exceptions and PostgreSQL's errors, driven through a module of its own.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VdbTest;

my $source = "$ENV{VDB_TEST}/../src";
my $module = "$ENV{TESTDIR}/guard_test_module.so";
system_or_bail(
	'g++', '-std=c++20', '-O2', '-fPIC', '-shared', '-Wno-register',
	'-DPGDLLEXPORT=__attribute__((visibility("default")))',
	"-I$source", '-isystem', $ENV{VDB_INCLUDE}, '-o', $module,
	"$ENV{VDB_TEST}/tap/guard/guard_test_module.cpp",
	"$source/pg/guard.cpp", "$source/pg/error.cpp");

my $node = new_node('guard');
$node->safe_psql('postgres', qq{
	CREATE FUNCTION guard_run(text) RETURNS int LANGUAGE c AS '$module';
	CREATE FUNCTION guard_alive() RETURNS int LANGUAGE c AS '$module';
	CREATE FUNCTION guard_code(int) RETURNS int LANGUAGE c AS '$module';
	CREATE FUNCTION outcome(command text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE value text; detail text; hint text;
	BEGIN
		EXECUTE command INTO value;
		RETURN value;
	EXCEPTION WHEN OTHERS OR QUERY_CANCELED THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		RETURN concat_ws('|', SQLSTATE, SQLERRM, detail, hint);
	END \$\$});

my %expected = (
	value => '42',
	ereport => '22012|raised in PostgreSQL|its detail|its hint',
	nested => '22P02|invalid input syntax for type integer: "x"||',
	status => 'XX002|a %s message|d%d|h%d',
	bad_alloc => '53200|out of memory|Allocation failed in guard_run.|',
	exception => 'XX000|unexpected exception in guard_run: its what()||',
	unknown => 'XX000|unexpected exception in guard_run: unknown C++ exception||',
	cancelled => '57014|interrupted||',
	holdoff => '1',
	handler => '1',
	context => '1');
foreach my $case (sort keys %expected)
{
	# Twice in one session: the first must leave nothing behind that spoils the second.
	my $query = "SELECT outcome('SELECT guard_run(''$case'')')";
	is($node->safe_psql('postgres', "$query; $query; SELECT guard_alive()"),
		"$expected{$case}\n$expected{$case}\n0", $case);
}

# Code's numbers, in its order.
my @states = qw(22023 XX002 08006 08006 53200 53100 0A000 42501 58P01 F0000 57014 XX000);
foreach my $code (1 .. @states)
{
	is($node->safe_psql('postgres', "SELECT outcome('SELECT guard_code($code)')"),
		"$states[$code - 1]|code||", "code $code");
}

$node->stop;
done_testing();
