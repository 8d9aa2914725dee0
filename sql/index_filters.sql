-- Filters: the scan goes on until the limit is filled or there are no more rows.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE filt (id int, grade int, v vector(16));
INSERT INTO filt SELECT i, i % 1000, vt.uniform(i, 16) FROM generate_series(1, 10000) i;
CREATE INDEX filt_v ON filt USING vdb (v);
INSERT INTO filt SELECT i, i % 1000, vt.uniform(i, 16) FROM generate_series(10001, 10500) i;
ANALYZE filt;
\set queries 'SELECT vt.uniform(-1000 - i, 16)::text FROM generate_series(1, 10) i'
-- Half, 10 %, 1 %, 0.2 % of the rows; vt.recall raises when the limit is not filled.
SELECT share, vt.recall('filt', 'v', '<->', :'queries', 10, 'grade < ' || share) > 0.9 AS found
FROM unnest(ARRAY[500, 100, 10, 2]) share;
SET vdb.iterative_scan = relaxed_order;
SET enable_seqscan = off;
-- Fewer rows than the limit: all of them, each once; none.
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM filt WHERE grade = 7 ORDER BY v <-> vt.uniform(-1, 16) LIMIT 100) s;
SELECT count(*) FROM (SELECT id FROM filt WHERE grade < 0 ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
RESET vdb.iterative_scan;
-- Filters by distance, by join, by a subquery.
SELECT count(*) > 0, bool_and(d < 0.9) FROM (
  SELECT v <-> vt.uniform(-1, 16) AS d FROM filt WHERE v <-> vt.uniform(-1, 16) < 0.9 ORDER BY v <-> vt.uniform(-1, 16) LIMIT 20) s;
CREATE TABLE wanted AS SELECT generate_series(1, 10500, 97) AS id;
ANALYZE wanted;
SELECT count(*) FROM (
  SELECT f.id FROM filt f WHERE EXISTS (SELECT FROM wanted w WHERE w.id = f.id) ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
-- Rows that were deleted, not yet vacuumed, do not count towards the limit.
DELETE FROM filt WHERE id IN (SELECT id FROM filt ORDER BY v <-> vt.uniform(-3, 16) LIMIT 500);
SELECT vt.recall('filt', 'v', '<->', 'SELECT vt.uniform(-3, 16)::text', 50) > 0.8 AS found;
VACUUM filt;
SELECT vt.recall('filt', 'v', '<->', 'SELECT vt.uniform(-3, 16)::text', 50) > 0.8 AS found;
DELETE FROM filt WHERE grade <> 5;
SELECT vt.recall('filt', 'v', '<->', :'queries', 5) >= 0.8 AS found_among_dead;
VACUUM filt;
SELECT vt.recall('filt', 'v', '<->', :'queries', 5) >= 0.8 AS found_among_tombstones;
DELETE FROM filt;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM filt ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
VACUUM filt;
SELECT count(*) FROM (SELECT id FROM filt ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
-- Row security is a filter too.
TRUNCATE filt;
INSERT INTO filt SELECT i, i % 5, vt.uniform(i, 16) FROM generate_series(1, 2000) i;
REINDEX INDEX filt_v;
CREATE ROLE vt_reader;
GRANT USAGE ON SCHEMA vt TO vt_reader;
GRANT SELECT ON filt TO vt_reader;
ALTER TABLE filt ENABLE ROW LEVEL SECURITY;
CREATE POLICY third ON filt TO vt_reader USING (grade = 3);
SET ROLE vt_reader;
SELECT count(*), min(grade), max(grade) FROM (SELECT grade FROM filt ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
RESET ROLE;
RESET enable_seqscan;
DROP TABLE filt, wanted;
DROP OWNED BY vt_reader;
DROP ROLE vt_reader;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
