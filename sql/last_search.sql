-- vdb.last_search(): NULLs before a session's first search, then figures of its last one.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

SELECT index, rounds, late_rows FROM vdb.last_search();
CREATE TABLE last (id int PRIMARY KEY, v vector(16));
INSERT INTO last SELECT i, vt.uniform(i, 16) FROM generate_series(1, 4000) i;
CREATE INDEX last_v ON last USING vdb (v);
SET enable_seqscan = off;

SELECT count(*) FROM (SELECT id FROM last ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
SELECT index, rounds BETWEEN 1 AND 3 AS rounds, lists_probed BETWEEN 1 AND 17 AS lists, codes_scanned BETWEEN 10 AND 4000 AS codes,
       survivors >= exact_read AS survivors, exact_read >= 10 AS exact, rejected, rows_returned
FROM vdb.last_search();

-- Nothing is in the cache after a build; then all that the same search wants is.
SELECT cache_misses > 0 AS misses, ranking_time > 0 AS ranking, scanning_time > 0 AS scanning, fetching_time > 0 AS fetching,
       exact_time > 0 AS exact, abs(total_time - ranking_time - scanning_time - fetching_time - exact_time) < 1e-6 AS total
FROM vdb.last_search();
SELECT count(*) FROM (SELECT id FROM last ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
SELECT cache_hits > 0 AS hits, cache_misses, ranking_time > 0 AS ranking, scanning_time > 0 AS scanning, fetching_time,
       exact_time > 0 AS exact
FROM vdb.last_search();

-- More rows than one round looks for.
SELECT count(*) FROM (SELECT id FROM last ORDER BY v <-> vt.uniform(-1, 16) LIMIT 100) s;
SELECT rounds > 1 AS more_rounds, rows_returned FROM vdb.last_search();

-- Deleted rows are read and rejected until vacuum has been there.
DELETE FROM last WHERE id IN (SELECT id FROM last ORDER BY v <-> vt.uniform(-1, 16) LIMIT 5);
SELECT count(*) FROM (SELECT id FROM last ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
SELECT rejected >= 5 AS rejected, rows_returned FROM vdb.last_search();

-- Every row is returned, or late and counted.
SELECT count(*) AS returned FROM (SELECT id FROM last ORDER BY v <-> vt.uniform(-1, 16) OFFSET 0) s \gset
SELECT rows_returned = :returned AS returned, rows_returned + late_rows AS all_rows FROM vdb.last_search();
DROP TABLE last;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
