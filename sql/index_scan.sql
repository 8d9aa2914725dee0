-- Searching: order, completeness, snapshots, prepared statements, NULL queries, the scan's settings.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE scan (id int PRIMARY KEY, tag int, v vector(16));
INSERT INTO scan SELECT i, i % 10, vt.uniform(i, 16) FROM generate_series(1, 4000) i;
CREATE INDEX scan_v ON scan USING vdb (v);
INSERT INTO scan SELECT i, i % 10, vt.uniform(i, 16) FROM generate_series(4001, 4400) i;
ANALYZE scan;
\set queries 'SELECT vt.uniform(-1000 - i, 16)::text FROM generate_series(1, 20) i'
SELECT k, vt.recall('scan', 'v', '<->', :'queries', k) > 0.9 AS found
FROM unnest(ARRAY[1, 2, 10, 100, 1000]) k;
SET enable_seqscan = off;

-- Without a limit nearly all rows come in strict order (late ones are left out), all in relaxed.
SELECT count(*) > 4200, count(*) = count(DISTINCT id), bool_and(d >= before) FROM (
  SELECT id, d, lag(d, 1, 0) OVER () AS before FROM (
    SELECT id, v <-> vt.uniform(-1, 16) AS d FROM scan ORDER BY v <-> vt.uniform(-1, 16) OFFSET 0) s) s;
SET vdb.iterative_scan = relaxed_order;
SELECT count(*), count(DISTINCT id) FROM (
  SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) OFFSET 0) s;
-- Distances are the operator's, bit for bit.
SELECT count(*) FROM (SELECT id, v <-> vt.uniform(-1, 16) AS d FROM scan ORDER BY v <-> vt.uniform(-1, 16) LIMIT 50) i
JOIN scan USING (id) WHERE scan.v <-> vt.uniform(-1, 16) <> d;
RESET vdb.iterative_scan;

-- Limits on a scan.
SET vdb.max_scan_tuples = 25;
SELECT count(*) FROM (SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) OFFSET 0) s;
SELECT count(*) FROM (SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
SELECT count(*) BETWEEN 1 AND 9 AS fewer FROM (SELECT id FROM scan WHERE tag = 3 ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
SET vdb.max_scan_tuples = 0;
SELECT count(*) FROM (SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
RESET vdb.max_scan_tuples;
-- One probe finds fewer of the nearest than many, yet a scan goes on to the end all the same.
SET vdb.probes = 1;
SELECT vt.recall('scan', 'v', '<->', :'queries', 10) AS one_probe \gset
SET vdb.probes = 1000000;
SELECT vt.recall('scan', 'v', '<->', :'queries', 10) AS all_probes \gset
SELECT :one_probe < 0.9 AS one_misses, :all_probes > 0.98 AS all_find;
SET vdb.probes = 1;
SET vdb.iterative_scan = relaxed_order;
SELECT count(*), count(DISTINCT id) FROM (
  SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) OFFSET 0) s;
RESET vdb.iterative_scan;
RESET vdb.probes;

-- A NULL query: every indexed row, in no order.
PREPARE by_null(vector) AS SELECT count(*), count(DISTINCT id), count(d) FROM (
  SELECT id, v <-> $1 AS d FROM scan ORDER BY v <-> $1 OFFSET 0) s;
SET plan_cache_mode = force_generic_plan;
EXECUTE by_null(NULL);
SET vdb.iterative_scan = relaxed_order;
EXECUTE by_null(vt.uniform(1, 16));
RESET vdb.iterative_scan;
SET vdb.max_scan_tuples = 7;
EXECUTE by_null(NULL);
RESET vdb.max_scan_tuples;
DEALLOCATE by_null;

-- Prepared statements, custom and generic plans.
PREPARE nearest(vector, int) AS SELECT id FROM scan ORDER BY v <-> $1 LIMIT $2;
EXECUTE nearest(vt.uniform(4200, 16), 1);
EXECUTE nearest(vt.uniform(17, 16), 1);
EXPLAIN (COSTS OFF) EXECUTE nearest(vt.uniform(17, 16), 1);
SET plan_cache_mode = force_custom_plan;
EXECUTE nearest(vt.uniform(17, 16), 1);
RESET plan_cache_mode;
DO $$
DECLARE found int; wrong int := 0;
BEGIN
  FOR i IN 1..30 LOOP
    EXECUTE 'SELECT id FROM scan ORDER BY v <-> $1 LIMIT 1' INTO found USING vt.uniform(i * 100, 16);
    wrong := wrong + (found <> i * 100)::int;
    SELECT id INTO found FROM scan ORDER BY v <-> vt.uniform(i * 100, 16) LIMIT 1;
    wrong := wrong + (found <> i * 100)::int;
  END LOOP;
  IF wrong > 2 THEN RAISE 'wrong: %', wrong; END IF;
END $$;
DEALLOCATE nearest;
-- The query may be a subquery, a stable function, or text of unknown type.
SELECT id FROM scan ORDER BY v <-> (SELECT v FROM scan WHERE id = 99) LIMIT 1;
SELECT id FROM scan ORDER BY v <-> (current_setting('vt.q', true) || '[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]')::vector LIMIT 0;
SELECT count(*) FROM (SELECT id FROM scan ORDER BY v <-> '[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]' LIMIT 3) s;
-- A toasted, compressed, or short query and row are the same to it.
CREATE TABLE wide (id int, v vector(1500));
ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
INSERT INTO wide SELECT i, vt.uniform(i, 1500) FROM generate_series(1, 60) i;
ALTER TABLE wide ALTER v SET STORAGE EXTENDED;
INSERT INTO wide SELECT i, (vt.uniform(i, 5)::real[] || array_fill(0::real, ARRAY[1495]))::vector FROM generate_series(61, 120) i;
CREATE INDEX wide_v ON wide USING vdb (v);
SELECT a.id, n.id FROM wide a, LATERAL (SELECT id FROM wide b ORDER BY b.v <-> a.v LIMIT 1) n WHERE a.id IN (7, 99);
DROP TABLE wide;

-- Only rows that the snapshot sees.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM (SELECT id FROM scan ORDER BY v <-> vt.uniform(8000, 16) LIMIT 5) s;
INSERT INTO scan VALUES (8000, 0, vt.uniform(8000, 16));
SELECT id FROM scan ORDER BY v <-> vt.uniform(8000, 16) LIMIT 1;
SAVEPOINT a;
DELETE FROM scan WHERE id = 8000;
SELECT id = 8000 AS own_delete FROM scan ORDER BY v <-> vt.uniform(8000, 16) LIMIT 1;
ROLLBACK TO a;
SELECT id FROM scan ORDER BY v <-> vt.uniform(8000, 16) LIMIT 1;
SAVEPOINT b;
INSERT INTO scan VALUES (8001, 0, vt.uniform(8001, 16));
ROLLBACK TO b;
SELECT id = 8001 AS rolled_back FROM scan ORDER BY v <-> vt.uniform(8001, 16) LIMIT 1;
ROLLBACK;
SELECT id = 8000 AS rolled_back FROM scan ORDER BY v <-> vt.uniform(8000, 16) LIMIT 1;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT id FROM scan ORDER BY v <-> vt.uniform(11, 16) LIMIT 1;
INSERT INTO scan VALUES (8002, 0, vt.uniform(8002, 16));
SELECT id FROM scan ORDER BY v <-> vt.uniform(8002, 16) LIMIT 1;
COMMIT;

-- HOT updates leave the index alone; others add a version. Each row comes once, with its new value.
UPDATE scan SET tag = 77 WHERE id % 50 = 1;
UPDATE scan SET v = vt.uniform(id + 100000, 16) WHERE id % 50 = 2;
UPDATE scan SET tag = 78 WHERE id % 50 = 2;
SELECT id, tag FROM scan ORDER BY v <-> vt.uniform(51, 16) LIMIT 1;
SELECT id, tag FROM scan ORDER BY v <-> vt.uniform(100052, 16) LIMIT 1;
SELECT id = 52 AS old_value FROM scan ORDER BY v <-> vt.uniform(52, 16) LIMIT 1;
SELECT vt.recall('scan', 'v', '<->', :'queries', 10) > 0.9 AS found;
SET vdb.iterative_scan = relaxed_order;
SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE tag = 78) FROM (
  SELECT id, tag FROM scan ORDER BY v <-> vt.uniform(-1, 16) OFFSET 0) s;
RESET vdb.iterative_scan;

-- WITH TIES, window functions and merges rely on the order.
SELECT count(*) >= 10 FROM (
  SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) FETCH FIRST 10 ROWS WITH TIES) s;
SELECT bool_and(rank = row) FROM (
  SELECT rank() OVER (ORDER BY v <-> vt.uniform(-1, 16)) AS rank,
    row_number() OVER (ORDER BY v <-> vt.uniform(-1, 16)) AS row FROM scan LIMIT 50) s;
-- Two searches of one index at once.
SELECT count(*) FROM (
  (SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10)
  UNION ALL
  (SELECT id FROM scan ORDER BY v <-> vt.uniform(-2, 16) LIMIT 10)) s;
SELECT count(*) = 20 FROM (
  SELECT a.id, b.id FROM (SELECT id, row_number() OVER () r FROM (SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) LIMIT 20) s) a
  JOIN (SELECT id, row_number() OVER () r FROM (SELECT id FROM scan ORDER BY v <-> vt.uniform(-2, 16) LIMIT 20) s) b USING (r)) s;
-- Rows locked and changed through the search.
WITH nearest AS (SELECT id FROM scan ORDER BY v <-> vt.uniform(13, 16) LIMIT 1 FOR UPDATE)
UPDATE scan SET tag = 99 FROM nearest WHERE scan.id = nearest.id RETURNING scan.id, scan.tag;
DELETE FROM scan WHERE id = (SELECT id FROM scan ORDER BY v <-> vt.uniform(13, 16) LIMIT 1) RETURNING id;
SELECT id = 13 AS deleted FROM scan ORDER BY v <-> vt.uniform(13, 16) LIMIT 1;
-- Rows that come by COPY, ON CONFLICT and MERGE, among them speculative ones that lose.
COPY scan FROM STDIN;
20001	0	[9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9]
20002	0	[8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8]
\.
INSERT INTO scan VALUES (20001, 1, vt.uniform(20001, 16)), (20003, 1, vt.uniform(20003, 16)) ON CONFLICT DO NOTHING;
INSERT INTO scan VALUES (20002, 1, vt.uniform(20002, 16)) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
MERGE INTO scan USING (VALUES (20001), (20004)) m(i) ON id = i
  WHEN MATCHED THEN UPDATE SET v = vt.uniform(i, 16) WHEN NOT MATCHED THEN INSERT VALUES (i, 1, vt.uniform(i, 16));
SELECT i, (SELECT id FROM scan ORDER BY v <-> vt.uniform(i, 16) LIMIT 1) FROM generate_series(20001, 20004) i;
-- In a parallel worker, which opens the index itself.
DO $$ BEGIN
  PERFORM set_config(CASE WHEN current_setting('server_version_num')::int < 160000
    THEN 'force_parallel_mode' ELSE 'debug_parallel_query' END, 'on', false);
END $$;
EXPLAIN (COSTS OFF) SELECT id FROM scan ORDER BY v <-> '[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]' LIMIT 1;
SELECT id FROM scan ORDER BY v <-> vt.uniform(17, 16) LIMIT 1;
SELECT id FROM scan ORDER BY v <-> vt.uniform(20003, 16) LIMIT 1;
SELECT count(*) FROM (SELECT id FROM scan ORDER BY v <-> vt.uniform(-1, 16) LIMIT 500) s;
SELECT id FROM scan ORDER BY v <-> '[1,2]' LIMIT 1;
DO $$ BEGIN
  PERFORM set_config(CASE WHEN current_setting('server_version_num')::int < 160000
    THEN 'force_parallel_mode' ELSE 'debug_parallel_query' END, 'off', false);
END $$;
RESET enable_seqscan;
-- The extension stays while an index needs it.
\set VERBOSITY terse
BEGIN;
DROP EXTENSION vdb_ext;
ROLLBACK;
\set VERBOSITY default
DROP TABLE scan;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
