-- Building: empty, tiny, growing, degenerate and large-dimensional tables; rebuilds; what a failed
-- build leaves.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

-- An empty table: searchable at once, grows through the delta, and is trained when rebuilt.
CREATE TABLE grow (id int PRIMARY KEY, v vector(24));
CREATE INDEX grow_v ON grow USING vdb (v);
SET enable_seqscan = off;
SELECT id FROM grow ORDER BY v <-> vt.uniform(1, 24) LIMIT 3;
INSERT INTO grow VALUES (1, vt.uniform(1, 24));
SELECT id, v <-> vt.uniform(1, 24) AS d FROM grow ORDER BY v <-> vt.uniform(1, 24) LIMIT 3;
RESET enable_seqscan;
INSERT INTO grow SELECT i, vt.uniform(i, 24) FROM generate_series(2, 3000) i;
\set queries 'SELECT vt.uniform(-1000 - i, 24)::text FROM generate_series(1, 30) i'
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_after_growth;
REINDEX INDEX grow_v;
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_after_reindex;
INSERT INTO grow SELECT i, vt.uniform(i, 24) FROM generate_series(3001, 3300) i;
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_in_segment_and_delta;
-- Every row is its own nearest, in segment and delta alike.
SET enable_seqscan = off;
SELECT count(*) FILTER (WHERE nearest = id) > 0.95 * count(*) AS each_finds_itself
FROM grow g, LATERAL (SELECT h.id AS nearest FROM grow h ORDER BY h.v <-> g.v LIMIT 1) n
WHERE id % 7 = 0;
RESET enable_seqscan;
REINDEX INDEX CONCURRENTLY grow_v;
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_after_reindex_concurrently;
REINDEX TABLE grow;
VACUUM FULL grow;
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_after_vacuum_full;
CLUSTER grow USING grow_pkey;
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_after_cluster;
ALTER TABLE grow ALTER id TYPE bigint;
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_after_rewrite;
-- TRUNCATE gives the index new pages, and gives them back when it is rolled back.
BEGIN;
TRUNCATE grow;
INSERT INTO grow VALUES (1, vt.uniform(77, 24));
SELECT vt.recall('grow', 'v', '<->', :'queries', 10);
ROLLBACK;
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_after_rollback_of_truncate;
TRUNCATE grow;
INSERT INTO grow SELECT i, vt.uniform(i, 24) FROM generate_series(1, 50) i;
SELECT vt.recall('grow', 'v', '<->', :'queries', 10) > 0.9 AS found_after_truncate;
DROP TABLE grow;
-- Emptied in place, within the transaction that made it.
BEGIN;
CREATE TABLE fresh (id int, v vector(8));
CREATE INDEX ON fresh USING vdb (v);
INSERT INTO fresh SELECT i, vt.uniform(i, 8) FROM generate_series(1, 100) i;
SELECT vt.recall('fresh', 'v', '<->', 'SELECT vt.uniform(-5, 8)::text', 10) > 0.7 AS found;
TRUNCATE fresh;
INSERT INTO fresh SELECT i, vt.uniform(1000 + i, 8) FROM generate_series(1, 100) i;
SELECT vt.recall('fresh', 'v', '<->', 'SELECT vt.uniform(-5, 8)::text', 10) > 0.7 AS found;
SET LOCAL vdb.iterative_scan = relaxed_order;
SELECT count(*), min(id), max(id) FROM (SELECT id FROM fresh ORDER BY v <-> vt.uniform(-5, 8) OFFSET 0) s;
COMMIT;
DROP TABLE fresh;

-- On either side of the number of rows from which lists are trained.
CREATE TABLE edge (id int, v vector(5));
INSERT INTO edge SELECT i, vt.uniform(i, 5) FROM generate_series(1, 1999) i;
CREATE INDEX edge_v ON edge USING vdb (v);
\set queries 'SELECT vt.uniform(-1000 - i, 5)::text FROM generate_series(1, 20) i'
SELECT vt.recall('edge', 'v', '<->', :'queries', 10) > 0.9 AS untrained;
INSERT INTO edge VALUES (2000, vt.uniform(2000, 5));
REINDEX INDEX edge_v;
SELECT vt.recall('edge', 'v', '<->', :'queries', 10) > 0.9 AS trained;
DROP TABLE edge;

-- Vectors that are all equal: any are right, each comes once, and all of them come.
CREATE TABLE same (id int, v vector(16));
INSERT INTO same SELECT i, vt.uniform(1, 16) FROM generate_series(1, 5000) i;
CREATE INDEX same_v ON same USING vdb (v);
SET enable_seqscan = off;
SELECT count(*), count(DISTINCT id), max(d) FROM (
  SELECT id, v <-> vt.uniform(1, 16) AS d FROM same ORDER BY v <-> vt.uniform(1, 16) LIMIT 10) s;
SELECT count(*), count(DISTINCT id) FROM (
  SELECT id FROM same ORDER BY v <-> vt.uniform(1, 16) OFFSET 0) s;
SELECT count(*), count(DISTINCT id) FROM (
  SELECT id FROM same ORDER BY v <-> vt.uniform(2, 16) OFFSET 0) s;
RESET enable_seqscan;
DROP TABLE same;

-- More duplicates than any search asks for at once, among other rows.
CREATE TABLE dup (id int, v vector(16));
INSERT INTO dup SELECT i, vt.uniform(CASE WHEN i % 3 = 0 THEN 3 ELSE i END, 16)
FROM generate_series(1, 6000) i;
CREATE INDEX dup_v ON dup USING vdb (v);
SET enable_seqscan = off;
SELECT count(*), count(DISTINCT id), max(d) FROM (
  SELECT id, v <-> vt.uniform(3, 16) AS d FROM dup ORDER BY v <-> vt.uniform(3, 16) LIMIT 2000) s;
SELECT count(*) >= 4, count(*) = count(DISTINCT id), min(d), max(d) > 0 FROM (
  SELECT id, v <-> vt.uniform(3, 16) AS d FROM dup ORDER BY v <-> vt.uniform(3, 16)
  OFFSET 1990 LIMIT 20) s;
RESET enable_seqscan;
DROP TABLE dup;

-- One dimension, few distinct values, more lists asked for than there are distinct values.
CREATE TABLE line (id int, v vector(1));
INSERT INTO line SELECT i, ARRAY[i % 50]::vector FROM generate_series(1, 4000) i;
CREATE INDEX line_v ON line USING vdb (v) WITH (lists = 200);
SELECT vt.recall('line', 'v', '<->', $$SELECT format('[%s]', i) FROM generate_series(-5, 55, 5) i$$, 30) > 0.9 AS found;
-- In one dimension a sign and a length are all there is.
SELECT code_bits FROM vdb.stat_index WHERE indexname = 'line_v';
DROP TABLE line;

-- As many lists as rows, and a single list.
CREATE TABLE lists (id int, v vector(8));
INSERT INTO lists SELECT i, vt.uniform(i, 8) FROM generate_series(1, 2500) i;
\set queries 'SELECT vt.uniform(-1000 - i, 8)::text FROM generate_series(1, 20) i'
CREATE INDEX lists_v ON lists USING vdb (v) WITH (lists = 2500);
SELECT vt.recall('lists', 'v', '<->', :'queries', 10) > 0.9 AS many;
DROP INDEX lists_v;
CREATE INDEX lists_v ON lists USING vdb (v) WITH (lists = 1);
SELECT vt.recall('lists', 'v', '<->', :'queries', 10) > 0.9 AS one;
DROP INDEX lists_v;
-- Chunks so small that there are several.
CREATE INDEX lists_v ON lists USING vdb (v) WITH (lists = 40, chunk_size = 1000, code_bits = 8);
SELECT vt.recall('lists', 'v', '<->', :'queries', 10) > 0.9 AS several_chunks;
DROP TABLE lists;

-- Values at the ends of float: distances overflow to infinity, in order, without an error.
CREATE TABLE far (id int, v vector(3));
INSERT INTO far SELECT i, ARRAY[i * 1e34, 1, -i * 1e34]::vector FROM generate_series(1, 3000) i;
INSERT INTO far SELECT 10000 + i, ARRAY[i * 1e-40, 0, 1e-42]::vector FROM generate_series(1, 100) i;
CREATE INDEX far_v ON far USING vdb (v);
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM far ORDER BY v <-> '[0,0,0]' LIMIT 50) s;
SELECT count(*), count(*) FILTER (WHERE d > 3e37) FROM (
  SELECT v <-> '[3e38,0,-3e38]' AS d FROM far ORDER BY v <-> '[3e38,0,-3e38]' LIMIT 50) s;
DROP TABLE far;
-- The first row of an empty index, around which it codes the others, is such a value; so are all.
CREATE TABLE far (id int, v vector(3));
CREATE INDEX far_v ON far USING vdb (v vector_l2_ops);
CREATE INDEX far_ip ON far USING vdb (v vector_ip_ops);
CREATE INDEX far_cosine ON far USING vdb (v vector_cosine_ops);
CREATE INDEX far_l1 ON far USING vdb (v vector_l1_ops);
INSERT INTO far VALUES (0, '[3e38,3e38,3e38]');
INSERT INTO far SELECT i, vt.uniform(i, 3) FROM generate_series(1, 100) i;
SELECT id FROM far ORDER BY v <-> vt.uniform(42, 3) LIMIT 1;
SELECT id FROM far ORDER BY v <+> vt.uniform(42, 3) LIMIT 1;
SELECT id FROM far ORDER BY v <=> vt.uniform(42, 3) LIMIT 1;
SELECT id FROM far ORDER BY v <#> '[1,1,1]' LIMIT 1;
TRUNCATE far;
INSERT INTO far SELECT i, ARRAY[3e38, i * 1e34, -3e38]::vector FROM generate_series(1, 3000) i;
REINDEX TABLE far;
SELECT count(*) FROM (SELECT id FROM far ORDER BY v <-> '[3e38,0,-3e38]' OFFSET 0) s;
SELECT count(*) FROM (SELECT id FROM far ORDER BY v <=> '[3e38,0,-3e38]' LIMIT 10) s;
RESET enable_seqscan;
DROP TABLE far;

-- A build that fails leaves nothing: the table works and the index can be made.
CREATE TABLE failing (id int, v vector(4));
INSERT INTO failing SELECT i, vt.uniform(i, 4) FROM generate_series(1, 3000) i;
CREATE FUNCTION vt.checked(v vector, id int) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF id = 2500 THEN RAISE 'row % is not indexable', id; END IF;
  RETURN v;
END $$;
CREATE INDEX failing_v ON failing USING vdb ((vt.checked(v, id)::vector(4)));
SELECT count(*) FROM pg_class WHERE relname = 'failing_v';
CREATE INDEX CONCURRENTLY failing_v ON failing USING vdb ((vt.checked(v, id)::vector(4)));
SELECT indisvalid FROM pg_index WHERE indexrelid = 'failing_v'::regclass;
-- The invalid index disturbs nobody.
INSERT INTO failing VALUES (3001, vt.uniform(3001, 4));
UPDATE failing SET id = 4000 WHERE id = 2500;
DELETE FROM failing WHERE id < 100;
VACUUM failing;
SELECT vt.uses('SELECT * FROM failing ORDER BY vt.checked(v, id)::vector(4) <-> ''[1,1,1,1]'' LIMIT 1', 'failing_v');
REINDEX INDEX failing_v;
SELECT vt.recall('failing', 'vt.checked(v, id)::vector(4)', '<->', 'SELECT vt.uniform(-i, 4)::text FROM generate_series(1, 10) i', 10) > 0.8 AS found;
UPDATE failing SET id = 2500 WHERE id = 4000;
DROP TABLE failing;

-- Built by one process and with parallel workers.
CREATE TABLE workers (id int, v vector(16));
INSERT INTO workers SELECT i, vt.clustered(i, 16) FROM generate_series(1, 12000) i;
ALTER TABLE workers SET (parallel_workers = 2);
\set queries 'SELECT vt.clustered(50000 + i, 16)::text FROM generate_series(1, 20) i'
SET max_parallel_maintenance_workers = 2;
CREATE INDEX workers_v ON workers USING vdb (v);
SELECT vt.recall('workers', 'v', '<->', :'queries', 10) > 0.9 AS parallel;
DROP INDEX workers_v;
CREATE INDEX CONCURRENTLY workers_v ON workers USING vdb (v);
SELECT vt.recall('workers', 'v', '<->', :'queries', 10) > 0.9 AS parallel_concurrently;
SET max_parallel_maintenance_workers = 0;
REINDEX INDEX workers_v;
SELECT vt.recall('workers', 'v', '<->', :'queries', 10) > 0.9 AS alone;
SET maintenance_work_mem = '1MB';
REINDEX INDEX workers_v;
SELECT vt.recall('workers', 'v', '<->', :'queries', 10) > 0.9 AS with_little_memory;
RESET maintenance_work_mem;
RESET max_parallel_maintenance_workers;
DROP TABLE workers;

SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
