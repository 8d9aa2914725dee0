# Damage in the files of a stopped server: a search and a check end in an ERROR that names index,
# object and frame; other indexes and the table go on; REINDEX heals.
use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use Test::More;
use VdbTest;

my $page_bytes = 8192;
my $payload_at = 24;
my $payload_bytes = 8152;
my $frame_bytes = 16400;    # stored
my %kind = (meta => 1, parameters => 2, directory => 3, object => 4, tids => 5, delta => 6, list_dead => 9);

sub fill
{
	my ($node, $rows) = @_;
	$node->safe_psql('postgres', qq{
		CREATE TABLE item (id int PRIMARY KEY, v vector(128)) WITH (autovacuum_enabled = off);
		INSERT INTO item SELECT i, (SELECT array_agg(((hashint8extended(i * 1000 + j, 7) & 65535) / 65536.0
				+ i % 10)::real) FROM generate_series(1, 128) j)::vector
			FROM generate_series(1, $rows) i;
		VACUUM ANALYZE item;
		CREATE INDEX item_v ON item USING vdb (v) WITH (chunk_size = 2500);
		CREATE INDEX item_other ON item USING vdb (v vector_ip_ops);
		INSERT INTO item SELECT id + 100000, v FROM item LIMIT 50;
		CHECKPOINT});
	return;
}

my $node = new_node('damage', conf => "autovacuum = off\nvdb.probes = 1000000\nenable_seqscan = off");
fill($node, 10000);
my $query = "SELECT id FROM item ORDER BY v <-> (SELECT v FROM item WHERE id = 77) LIMIT 3";
# Needs every frame.
my $whole = "SELECT count(*) FROM (SELECT id FROM item ORDER BY v <-> (SELECT v FROM item WHERE id = 77) OFFSET 0) s";
my $by_other = $query =~ s/<->/<#>/r;
my $nearest = $node->safe_psql('postgres', $query);
like($nearest, qr/^77$/m, 'the index answers');
my $nearest_by_other = $node->safe_psql('postgres', $by_other);
my $file = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('item_v')");
my @object_rows = split /\n/, $node->safe_psql('postgres',
	"SELECT substr(id, 1, 16) FROM vdb.index_objects('item_v') ORDER BY number");
is(scalar(@object_rows), 6, 'the index has a routing object and five chunks');
my ($routing, @chunks) = @object_rows;
$node->stop;
copy($file, "$file.sound") or die $!;

# The file as pages, and its parts.
sub slurp_pages
{
	open my $in, '<:raw', "$file.sound" or die $!;
	local $/ = undef;
	return [ unpack "(a$page_bytes)*", <$in> ];
}

sub write_pages
{
	my ($pages) = @_;
	open my $out, '+<:raw', $file or die $!;
	truncate $out, 0;
	print $out join '', @$pages;
	close $out or die $!;
	return;
}

sub blocks_of
{
	my ($pages, $wanted) = @_;
	return grep { unpack('x8 v', substr($pages->[$_], -16)) == $kind{$wanted} } 0 .. $#$pages;
}

# Blocks of each object, in the order in which they were written: a page that is not full ends one.
sub object_blocks
{
	my ($pages) = @_;
	my @objects = ([]);
	foreach my $block (blocks_of($pages, 'object'))
	{
		push @{ $objects[-1] }, $block;
		push @objects, [] if unpack('x12 v', $pages->[$block]) < $payload_at + $payload_bytes;
	}
	pop @objects unless @{ $objects[-1] };
	return @objects;
}

sub get_stream
{
	my ($pages, $blocks, $offset, $length) = @_;
	my $stream = join '', map { substr($pages->[$_], $payload_at, $payload_bytes) } @$blocks;
	return substr($stream, $offset, $length);
}

sub put_stream
{
	my ($pages, $blocks, $offset, $bytes) = @_;
	foreach my $i (0 .. length($bytes) - 1)
	{
		my $at = $offset + $i;
		substr($pages->[ $blocks->[ int($at / $payload_bytes) ] ], $payload_at + $at % $payload_bytes, 1) =
			substr($bytes, $i, 1);
	}
	return;
}

sub flip_bit
{
	my ($pages, $block, $at) = @_;
	substr($pages->[$block], $at, 1) ^= "\x10";
	return;
}

sub psql_error
{
	my ($sql) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $code == 0 ? "no error: $out" : $err;
}

# Starts the server on pages changed by $change, and runs $test.
sub with_damage
{
	my ($name, $change, $test) = @_;
	my $pages = slurp_pages();
	$change->($pages);
	write_pages($pages);
	$node->start;
	subtest $name => sub {
		$test->();
		is($node->safe_psql('postgres', $by_other), $nearest_by_other, 'the other index goes on');
		is($node->safe_psql('postgres', "SELECT count(*) FROM item WHERE v IS NOT NULL"), '10050',
			'so does the table');
		is($node->safe_psql('postgres', "SELECT rows > 0 FROM vdb.check('item_other', true)"), 't',
			'a check of the other index finds nothing');
		is($node->safe_psql('postgres', "SELECT string_agg(indexname, ' ' ORDER BY indexname)"
			  . " FILTER (WHERE rows > 0 OR indexname = 'item_v') FROM vdb.stat_index"), 'item_other item_v',
			'the view of all indexes shows both');
	};
	$node->stop;
	return;
}

sub is_frame_error
{
	my ($error, $object, $frame, $detail, $name) = @_;
	like($error, qr/ERROR:  XX002: .*could not read frame $frame of object $object of index "item_v"/, $name);
	like($error, qr/DETAIL:  $detail/, "$name: detail") if $detail;
	like($error, qr/HINT:  REINDEX the index/, "$name: hint");
	return;
}

my $full = "SELECT vdb.check('item_v', true)";
my $structure = "SELECT vdb.check('item_v')";
my $not_authentic = qr/Its bytes are not what was written there/;

with_damage('a flipped bit in a chunk', sub {
	my ($pages) = @_;
	my @objects = object_blocks($pages);
	is(scalar(@objects), 6, 'the pages of all objects are found');
	flip_bit($pages, $objects[1]->[ int(2.5 * $frame_bytes / $payload_bytes) ], 4000);
}, sub {
	is_frame_error(psql_error($whole), $chunks[1], 2, $not_authentic, 'search');
	is_frame_error(psql_error($full), $chunks[1], 2, $not_authentic, 'check in full');
	is(psql_error($structure) =~ /no error/, 1, 'the structure is sound');
	is($node->safe_psql('postgres', "SELECT rows FROM vdb.index_stats('item_v')"), '10050',
		'the statistics are still there');
	$node->safe_psql('postgres', "BEGIN; DELETE FROM item WHERE id % 3 = 0;
		INSERT INTO item SELECT id + 200000, v FROM item LIMIT 10; ROLLBACK");
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) item');
	is($node->safe_psql('postgres', "BEGIN; REINDEX INDEX item_v; $query; ROLLBACK"), $nearest, 'REINDEX heals');
});

with_damage('a flipped bit in the routing object', sub {
	my ($pages) = @_;
	flip_bit($pages, (object_blocks($pages))[5]->[0], 1000);
}, sub {
	is_frame_error(psql_error($query), $routing, 0, undef, 'search');
	is_frame_error(psql_error($full), $routing, 0, $not_authentic, 'check in full');
});

with_damage('two frames swapped', sub {
	my ($pages) = @_;
	my $blocks = (object_blocks($pages))[0];
	my @frames = map { get_stream($pages, $blocks, $_ * $frame_bytes, $frame_bytes) } 1, 2;
	put_stream($pages, $blocks, 1 * $frame_bytes, $frames[1]);
	put_stream($pages, $blocks, 2 * $frame_bytes, $frames[0]);
}, sub {
	is_frame_error(psql_error($whole), $chunks[0], '[12]', $not_authentic, 'search');
	is_frame_error(psql_error($full), $chunks[0], 1, $not_authentic, 'check in full');
});

with_damage('the same frame of two objects swapped', sub {
	my ($pages) = @_;
	my @objects = object_blocks($pages);
	my @frames = map { get_stream($pages, $objects[$_], $frame_bytes, $frame_bytes) } 2, 3;
	put_stream($pages, $objects[2], $frame_bytes, $frames[1]);
	put_stream($pages, $objects[3], $frame_bytes, $frames[0]);
}, sub {
	like(psql_error($query), qr/XX002: could not read frame 1 of object ($chunks[2]|$chunks[3]) /, 'search');
	is_frame_error(psql_error($full), $chunks[2], 1, $not_authentic, 'check in full');
});

with_damage('a truncated relation', sub {
	my ($pages) = @_;
	my @objects = object_blocks($pages);
	splice @$pages, $objects[3]->[1];
}, sub {
	# What lies behind the objects is looked at first: the directory that says where they are.
	like(psql_error($_), qr/XX002: index "item_v" is (truncated|damaged): block \d+ is missing\nHINT: /, $_)
		foreach $query, $structure, $full;
});

with_damage('a truncated object', sub {
	my ($pages) = @_;
	my $blocks = (object_blocks($pages))[4];
	# Shorter payloads: the object ends early, at a page that is there.
	substr($pages->[$_], 12, 2) = pack 'v', $payload_at foreach @{$blocks}[ 4 .. $#$blocks ];
}, sub {
	is_frame_error(psql_error($structure), $chunks[4], 1, qr/Block \d+ holds less than it should/, 'structure');
	is_frame_error(psql_error($whole), $chunks[4], '[123]', undef, 'search');
});

with_damage('a zero page in an object', sub {
	my ($pages) = @_;
	$pages->[ (object_blocks($pages))[0]->[3] ] = "\0" x $page_bytes;
}, sub {
	is_frame_error(psql_error($structure), $chunks[0], 1, qr/Block \d+ is not a page of an object/, 'structure');
	is_frame_error(psql_error($whole), $chunks[0], 1, undef, 'search');
});

with_damage('a zero metapage', sub {
	my ($pages) = @_;
	$pages->[0] = "\0" x $page_bytes;
}, sub {
	like(psql_error($_), qr/ERROR:  XX002: index "item_v" has an unexpected zero page at block 0\nHINT: /, $_)
		foreach $query, $structure, "SELECT vdb.index_stats('item_v')",
		"INSERT INTO item SELECT 0, v FROM item LIMIT 1";
	my ($code, $out, $err) = $node->psql('postgres',
		"SELECT indexname, metric, rows FROM vdb.stat_index ORDER BY 1", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	is($out, "item_other|ip|10050\nitem_v||", 'its row in the view of all indexes has NULLs');
	like($err, qr/WARNING:  XX002: could not look into index "item_v"\nDETAIL:  index "item_v" has an unexpected zero page.*\nHINT:  REINDEX/,
		'and a warning says why');
	like(psql_error("SELECT count(*) FROM generate_series(1, 3) i, vdb.stat_index; SELECT no_such_column"),
		qr/42703/, 'a session goes on after it');
});

with_damage('a format version that is not known', sub {
	my ($pages) = @_;
	substr($pages->[0], $payload_at + 4, 4) = pack 'V', 7;
}, sub {
	like(psql_error($_), qr/ERROR:  0A000: index "item_v" has format version 7, this vdb_ext reads version 2\nHINT:  REINDEX the index, or /, $_)
		foreach $query, $structure, $full, "SELECT vdb.index_stats('item_v')",
		"INSERT INTO item SELECT 0, v FROM item LIMIT 1", 'VACUUM (INDEX_CLEANUP ON) item';
	my ($code, $out, $err) = $node->psql('postgres', 'SELECT indexname, metric FROM vdb.stat_index ORDER BY 1',
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	is($out, "item_other|ip\nitem_v|", 'its row in the view of all indexes has NULLs');
	like($err, qr/WARNING:  0A000: could not look into index "item_v"\nDETAIL:  index "item_v" has format version 7/,
		'and a warning says why');
	is($node->safe_psql('postgres', "BEGIN; REINDEX INDEX item_v; $query; ROLLBACK"), $nearest, 'REINDEX heals');
});

with_damage('a damaged directory', sub {
	my ($pages) = @_;
	my ($block) = blocks_of($pages, 'directory');
	# Rows of the last list.
	flip_bit($pages, $block, unpack('x12 v', $pages->[$block]) - 4);
}, sub {
	like(psql_error($_), qr/ERROR:  XX002: index "item_v".*: segment directory is damaged\nHINT: /, $_)
		foreach $query, $structure;
});

with_damage('a TID that was lost', sub {
	my ($pages) = @_;
	my ($block) = blocks_of($pages, 'tids');
	# The first slot's TID becomes the second one's.
	substr($pages->[$block], $payload_at, 6) = substr($pages->[$block], $payload_at + 6, 6);
}, sub {
	is(psql_error($structure) =~ /no error/, 1, 'the structure is sound');
	like(psql_error($full), qr/XX002: index "item_v" is damaged: row \(\d+,\d+\) is (in it twice|missing)/,
		'only the table tells');
});

with_damage('a TID outside of the table', sub {
	my ($pages) = @_;
	my ($block) = blocks_of($pages, 'tids');
	substr($pages->[$block], $payload_at, 2) = pack 'v', 5;
}, sub {
	like(psql_error($full), qr/XX002: index "item_v" is damaged: row \(\d+,\d+\) (lies beyond the end|is missing)/,
		'check in full');
});

with_damage('padding that holds a TID', sub {
	my ($pages) = @_;
	my ($block) = blocks_of($pages, 'tids');
	my $used = unpack('x12 v', $pages->[$block]) - $payload_at;
	# An invalid TID amid the page pads a list.
	foreach my $slot (0 .. 32 * int($used / 196) - 1)
	{
		my $at = $payload_at + 196 * int($slot / 32) + 6 * ($slot % 32);
		next if unpack('x4 v', substr($pages->[$block], $at, 6)) != 0;
		substr($pages->[$block], $at, 6) = pack 'v3', 0, 0, 1;
		last;
	}
}, sub {
	like(psql_error($structure), qr/XX002: .* block \d+ has a TID where none belongs/, 'structure');
});

with_damage('a wrong count of dead rows', sub {
	my ($pages) = @_;
	my ($block) = blocks_of($pages, 'list_dead');
	substr($pages->[$block], $payload_at + 8, 4) = pack 'V', 3;
}, sub {
	like(psql_error($structure), qr/XX002: .* list 2 of segment 1 has 0 dead rows, where 3 are counted/, 'structure');
});

with_damage('a damaged delta page', sub {
	my ($pages) = @_;
	my ($block) = blocks_of($pages, 'delta');
	substr($pages->[$block], $payload_at, 2) = pack 'v', 1000;
}, sub {
	like(psql_error($structure), qr/XX002: .*item_v.* delta page/, 'structure');
	like(psql_error($query), qr/XX002: index "item_v" has a damaged delta page at block \d+/, 'search');
});

with_damage('a page that two objects claim', sub {
	my ($pages) = @_;
	my ($block) = blocks_of($pages, 'directory');
	my @objects = object_blocks($pages);
	# The extents of the second chunk begin where those of the first do.
	my ($first, $second) = map { pack 'VV', $_->[0], scalar @$_ } @objects[ 0, 1 ];
	die 'extents not found' unless $pages->[$block] =~ s/\Q$second\E/$first/;
}, sub {
	like(psql_error($structure), qr/XX002: /, 'structure');
	is_frame_error(psql_error($whole), $chunks[1], '\d+', undef, 'search');
});

# Nothing was wrong with the rest.
with_damage('no damage', sub { }, sub {
	is(psql_error($full) =~ /no error/, 1, 'check in full');
	is($node->safe_psql('postgres', $query), $nearest, 'search');
});

# With data checksums PostgreSQL notices first.
$node = new_node('checksums', extra => ['--data-checksums'], conf => "autovacuum = off\nvdb.probes = 1000000");
fill($node, 3000);
$file = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('item_v')");
$node->stop;
copy($file, "$file.sound") or die $!;
my $pages = slurp_pages();
flip_bit($pages, (object_blocks($pages))[0]->[1], 4000);
write_pages($pages);
$node->start;
like(psql_error($_), qr/ERROR:  XX001: invalid page in block \d+ of relation/, "with checksums: $_")
	foreach "SET enable_seqscan = off; $query", $structure, $full;
is($node->safe_psql('postgres', "SELECT rows FROM vdb.check('item_other', true)"), '3000',
	'with checksums: the other index goes on');
$node->stop;

done_testing();
