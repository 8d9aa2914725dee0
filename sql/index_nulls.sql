-- NULLs and zero vectors: which rows an index holds, and which a search returns.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE nulls (id int, v vector(8));
INSERT INTO nulls SELECT i, CASE WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN vt.uniform(i, 8)
  ELSE '[0,0,0,0,0,0,0,0]' END FROM generate_series(1, 6000) i;
\set queries 'SELECT vt.uniform(-1000 - i, 8)::text FROM generate_series(1, 10) i'
CREATE INDEX nulls_l2 ON nulls USING vdb (v);
CREATE INDEX nulls_ip ON nulls USING vdb (v vector_ip_ops);
CREATE INDEX nulls_cosine ON nulls USING vdb (v vector_cosine_ops);
CREATE INDEX nulls_l1 ON nulls USING vdb (v vector_l1_ops);
INSERT INTO nulls SELECT 6000 + i, CASE WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN vt.uniform(6000 + i, 8)
  ELSE '[0,0,0,0,0,0,0,0]' END FROM generate_series(1, 300) i;
-- Rows indexed: no NULLs, and under cosine no zero vectors, which have no direction.
SELECT indexname, rows, delta_rows FROM vdb.stat_index WHERE tablename = 'nulls' ORDER BY 1;
SET enable_seqscan = off;
SET vdb.iterative_scan = relaxed_order;
SELECT count(*), count(v) FROM (SELECT v FROM nulls ORDER BY v <-> '[1,1,1,1,1,1,1,1]' OFFSET 0) s;
SELECT count(*), count(v) FROM (SELECT v FROM nulls ORDER BY v <#> '[1,1,1,1,1,1,1,1]' OFFSET 0) s;
SELECT count(*), count(v) FROM (SELECT v FROM nulls ORDER BY v <=> '[1,1,1,1,1,1,1,1]' OFFSET 0) s;
SELECT count(*), count(v) FROM (SELECT v FROM nulls ORDER BY v <+> '[1,1,1,1,1,1,1,1]' OFFSET 0) s;
RESET vdb.iterative_scan;
SELECT vt.recall('nulls', 'v', '<->', :'queries', 10, 'v IS NOT NULL') > 0.9 AS found;
SELECT vt.recall('nulls', 'v', '<=>', :'queries', 10, 'v IS NOT NULL AND vector_norm(v) > 0') > 0.9 AS found;
SET enable_seqscan = off;
-- The zero vectors are the nearest of zero.
SELECT count(*), count(DISTINCT id), max(d) FROM (
  SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM nulls ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 2100) s;
-- A zero query under cosine is as far from everything: the distance is NaN, and rows come all the same.
SELECT count(*), min(d), max(d) FROM (
  SELECT v <=> '[0,0,0,0,0,0,0,0]' AS d FROM nulls ORDER BY v <=> '[0,0,0,0,0,0,0,0]' LIMIT 10) s;
SELECT count(*) FROM (SELECT id FROM nulls ORDER BY v <=> '[0,0,0,0,0,0,0,0]' OFFSET 0) s;
-- A NULL query, unknown to the planner: every row the index holds.
SET plan_cache_mode = force_generic_plan;
PREPARE by_l2(vector) AS SELECT count(*), count(DISTINCT id), count(d) FROM (
  SELECT id, v <-> $1 AS d FROM nulls ORDER BY v <-> $1 OFFSET 0) s;
EXPLAIN (COSTS OFF) EXECUTE by_l2(NULL);
EXECUTE by_l2(NULL);
PREPARE by_cosine(vector) AS SELECT count(*), count(DISTINCT id), count(d) FROM (
  SELECT id, v <=> $1 AS d FROM nulls ORDER BY v <=> $1 OFFSET 0) s;
EXECUTE by_cosine(NULL);
DEALLOCATE ALL;
RESET plan_cache_mode;
-- Filters on NULL.
SELECT count(*) FROM (SELECT id FROM nulls WHERE v IS NULL ORDER BY v <-> '[1,1,1,1,1,1,1,1]' LIMIT 5) s;
-- Updates between NULL, zero and other values.
UPDATE nulls SET v = vt.uniform(-77, 8) WHERE id = 3;
UPDATE nulls SET v = NULL WHERE id = 1;
UPDATE nulls SET v = '[0,0,0,0,0,0,0,0]' WHERE id = 4;
SELECT id FROM nulls ORDER BY v <-> vt.uniform(-77, 8) LIMIT 1;
SELECT id = 1 AS was_made_null FROM nulls ORDER BY v <-> vt.uniform(1, 8) LIMIT 1;
SELECT id = 4 AS was_made_zero FROM nulls ORDER BY v <=> vt.uniform(4, 8) LIMIT 1;
VACUUM nulls;
SELECT indexname, rows FROM vdb.stat_index WHERE tablename = 'nulls' ORDER BY 1;
DROP TABLE nulls;
-- Nothing but NULLs; nothing but zero vectors.
CREATE TABLE none (id int, v vector(3));
INSERT INTO none SELECT i, NULL FROM generate_series(1, 2500) i;
CREATE INDEX none_v ON none USING vdb (v);
SELECT count(*) FROM (SELECT id FROM none ORDER BY v <-> '[1,1,1]' LIMIT 5) s;
INSERT INTO none VALUES (2501, '[1,2,3]');
SELECT id FROM none ORDER BY v <-> '[1,1,1]' LIMIT 5;
TRUNCATE none;
INSERT INTO none SELECT i, '[0,0,0]' FROM generate_series(1, 2500) i;
CREATE INDEX none_cosine ON none USING vdb (v vector_cosine_ops);
SELECT indexname, rows FROM vdb.stat_index WHERE tablename = 'none' ORDER BY 1;
SELECT count(*) FROM (SELECT id FROM none ORDER BY v <=> '[1,1,1]' LIMIT 5) s;
INSERT INTO none VALUES (2501, '[1,2,3]');
SELECT id FROM none ORDER BY v <=> '[1,1,1]' LIMIT 5;
REINDEX TABLE none;
SELECT count(*) FROM (SELECT id FROM none ORDER BY v <-> '[0,0,0]' LIMIT 2500) s;
RESET enable_seqscan;
DROP TABLE none;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
