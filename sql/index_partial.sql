-- Partial indexes.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE part (id int, kind text, v vector(10));
INSERT INTO part SELECT i, CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END, vt.uniform(i, 10) FROM generate_series(1, 6000) i;
CREATE INDEX part_even ON part USING vdb (v) WHERE kind = 'even';
SELECT rows FROM vdb.stat_index WHERE indexname = 'part_even';
INSERT INTO part SELECT i, CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END, vt.uniform(i, 10) FROM generate_series(6001, 6200) i;
SELECT rows, delta_rows FROM vdb.stat_index WHERE indexname = 'part_even';
\set queries 'SELECT vt.uniform(-1000 - i, 10)::text FROM generate_series(1, 20) i'
SELECT vt.recall('part', 'v', '<->', :'queries', 10, 'kind = ''even''') > 0.9 AS found;
-- Not used where it does not hold every row asked for.
SET enable_seqscan = off;
SELECT vt.uses('SELECT id FROM part ORDER BY v <-> ''[1,1,1,1,1,1,1,1,1,1]'' LIMIT 1', 'part_even');
SELECT vt.uses('SELECT id FROM part WHERE kind = ''odd'' ORDER BY v <-> ''[1,1,1,1,1,1,1,1,1,1]'' LIMIT 1', 'part_even');
SELECT vt.uses('SELECT id FROM part WHERE kind = ''even'' AND id > 9 ORDER BY v <-> ''[1,1,1,1,1,1,1,1,1,1]'' LIMIT 1', 'part_even');
-- Rows move in and out of the predicate.
UPDATE part SET kind = 'even' WHERE id = 1001;
UPDATE part SET kind = 'odd' WHERE id = 1002;
SELECT id FROM part WHERE kind = 'even' ORDER BY v <-> vt.uniform(1001, 10) LIMIT 1;
SELECT id = 1002 AS moved_out FROM part WHERE kind = 'even' ORDER BY v <-> vt.uniform(1002, 10) LIMIT 1;
VACUUM part;
SELECT rows FROM vdb.stat_index WHERE indexname = 'part_even';
REINDEX INDEX CONCURRENTLY part_even;
SELECT rows, delta_rows FROM vdb.stat_index WHERE indexname = 'part_even';
SELECT vt.recall('part', 'v', '<->', :'queries', 10, 'kind = ''even''') > 0.9 AS found;
-- A predicate that nothing meets.
CREATE INDEX part_none ON part USING vdb (v vector_ip_ops) WHERE kind = 'neither';
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM part WHERE kind = 'neither' ORDER BY v <#> vt.uniform(1, 10) LIMIT 1) s;
INSERT INTO part VALUES (7000, 'neither', vt.uniform(7000, 10));
SELECT id FROM part WHERE kind = 'neither' ORDER BY v <#> vt.uniform(1, 10) LIMIT 1;
RESET enable_seqscan;
DROP TABLE part;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
