-- Temporary and unlogged tables.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TEMP TABLE tmp (id int, v vector(10));
INSERT INTO tmp SELECT i, vt.uniform(i, 10) FROM generate_series(1, 3000) i;
CREATE INDEX tmp_v ON tmp USING vdb (v);
INSERT INTO tmp SELECT i, vt.uniform(i, 10) FROM generate_series(3001, 3200) i;
\set queries 'SELECT vt.uniform(-1000 - i, 10)::text FROM generate_series(1, 20) i'
SELECT vt.recall('tmp', 'v', '<->', :'queries', 10) > 0.9 AS found;
DELETE FROM tmp WHERE id % 3 = 0;
VACUUM tmp;
SELECT rows, tombstones, delta_rows FROM vdb.stat_index WHERE indexname = 'tmp_v';
SELECT vt.recall('tmp', 'v', '<->', :'queries', 10) > 0.9 AS found;
REINDEX INDEX tmp_v;
CREATE INDEX CONCURRENTLY tmp_ip ON tmp USING vdb (v vector_ip_ops);
SELECT vt.recall('tmp', 'v', '<#>', :'queries', 10) > 0.9 AS found;
DROP TABLE tmp;
-- Emptied at each commit, in place: what was kept of the index from before must not be used.
CREATE TEMP TABLE scratch (id int, v vector(10)) ON COMMIT DELETE ROWS;
CREATE INDEX scratch_v ON scratch USING vdb (v);
DO $$ BEGIN
  FOR round IN 1..5 LOOP
    INSERT INTO scratch SELECT i, vt.uniform(i + round * 1000, 10) FROM generate_series(1, 50) i;
    IF round % 2 = 0 THEN EXECUTE 'REINDEX INDEX scratch_v'; END IF;
    IF vt.recall('scratch', 'v', '<->', 'SELECT vt.uniform(-i, 10)::text FROM generate_series(1, 5) i', 10) < 0.8 THEN RAISE 'round %', round; END IF;
    COMMIT;
  END LOOP;
END $$;
DO $$ BEGIN
  FOR round IN 1..3 LOOP
    INSERT INTO scratch SELECT i, vt.uniform(i + round * 3000, 10) FROM generate_series(1, 2500) i;
    EXECUTE 'REINDEX INDEX scratch_v';
    IF vt.recall('scratch', 'v', '<->', 'SELECT vt.uniform(-i, 10)::text FROM generate_series(1, 10) i', 10) < 0.8 THEN RAISE 'round %', round; END IF;
    COMMIT;
  END LOOP;
END $$;
SELECT count(*) FROM scratch;
DROP TABLE scratch;
CREATE TEMP TABLE dropped (v vector(3)) ON COMMIT DROP;
BEGIN;
CREATE TEMP TABLE dropped2 (v vector(3)) ON COMMIT DROP;
CREATE INDEX ON dropped2 USING vdb (v);
INSERT INTO dropped2 VALUES ('[1,2,3]');
SELECT count(*) FROM (SELECT v FROM dropped2 ORDER BY v <-> '[1,1,1]' LIMIT 1) s;
COMMIT;
-- Unlogged: an init fork that is an empty index, and back and forth between persistences.
CREATE UNLOGGED TABLE unlogged (id int, v vector(10));
CREATE INDEX unlogged_v ON unlogged USING vdb (v);
SELECT pg_relation_size('unlogged_v', 'init') > 0 AS init_fork;
INSERT INTO unlogged SELECT i, vt.uniform(i, 10) FROM generate_series(1, 3000) i;
SELECT vt.recall('unlogged', 'v', '<->', :'queries', 10) > 0.9 AS found;
REINDEX INDEX unlogged_v;
SELECT vt.recall('unlogged', 'v', '<->', :'queries', 10) > 0.9 AS found;
DELETE FROM unlogged WHERE id % 4 = 0;
VACUUM unlogged;
INSERT INTO unlogged SELECT i, vt.uniform(i, 10) FROM generate_series(3001, 3100) i;
SELECT rows, tombstones, delta_rows FROM vdb.stat_index WHERE indexname = 'unlogged_v';
ALTER TABLE unlogged SET LOGGED;
SELECT pg_relation_size('unlogged_v', 'init') AS init_fork;
SELECT vt.recall('unlogged', 'v', '<->', :'queries', 10) > 0.9 AS found;
ALTER TABLE unlogged SET UNLOGGED;
SELECT vt.recall('unlogged', 'v', '<->', :'queries', 10) > 0.9 AS found;
TRUNCATE unlogged;
INSERT INTO unlogged SELECT i, vt.uniform(i, 10) FROM generate_series(1, 100) i;
SELECT vt.recall('unlogged', 'v', '<->', :'queries', 10) > 0.9 AS found;
DROP TABLE unlogged;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
