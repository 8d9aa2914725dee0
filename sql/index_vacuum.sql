-- Deletes, vacuum, and rows that take the place of others.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE vac (id int, v vector(16)) WITH (autovacuum_enabled = off);
INSERT INTO vac SELECT i, vt.uniform(i, 16) FROM generate_series(1, 4000) i;
CREATE INDEX vac_v ON vac USING vdb (v);
INSERT INTO vac SELECT i, vt.uniform(i, 16) FROM generate_series(4001, 4200) i;
\set queries 'SELECT vt.uniform(-1000 - i, 16)::text FROM generate_series(1, 20) i'
CREATE VIEW vt.stats AS SELECT rows, tombstones, delta_rows FROM vdb.stat_index WHERE indexname = 'vac_v';
SELECT * FROM vt.stats;
DELETE FROM vac WHERE id % 10 = 1;
SELECT vt.recall('vac', 'v', '<->', :'queries', 10) > 0.9 AS deleted;
VACUUM vac;
SELECT * FROM vt.stats;
SELECT vt.recall('vac', 'v', '<->', :'queries', 10) > 0.9 AS vacuumed;
SELECT dead, delta_rows FROM vdb.check('vac_v', true);
-- Nothing to do the second time.
VACUUM vac;
SELECT * FROM vt.stats;
-- New rows on the TIDs of the old: they have the new vectors' distances, and the old are gone.
DELETE FROM vac WHERE id <= 2000;
VACUUM vac;
INSERT INTO vac SELECT 10000 + i, vt.uniform(10000 + i, 16) FROM generate_series(1, 1800) i;
SELECT count(*) > 1500 AS reused FROM vac WHERE id > 10000 AND (ctid::text::point)[0] < (SELECT max((ctid::text::point)[0]) FROM vac WHERE id BETWEEN 2001 AND 2100);
SET enable_seqscan = off;
SELECT count(*) FILTER (WHERE n.id = q.i) >= 97, bool_and(n.d < 1e-6 OR n.id <> q.i), bool_or(n.id BETWEEN 1 AND 2000)
FROM generate_series(10001, 11800, 18) q(i), LATERAL (
  SELECT id, v <-> vt.uniform(q.i, 16) AS d FROM vac ORDER BY v <-> vt.uniform(q.i, 16) LIMIT 1) n;
SELECT bool_or(n.id = q.i) AS old_row, min(n.d) > 0.1 AS other_distance
FROM generate_series(2, 2000, 20) q(i), LATERAL (
  SELECT id, v <-> vt.uniform(q.i, 16) AS d FROM vac ORDER BY v <-> vt.uniform(q.i, 16) LIMIT 1) n;
SET vdb.iterative_scan = relaxed_order;
SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM vac) FROM (SELECT id FROM vac ORDER BY v <-> vt.uniform(-1, 16) OFFSET 0) s;
RESET vdb.iterative_scan;
SELECT vt.recall('vac', 'v', '<->', :'queries', 10) > 0.9 AS found;
SELECT dead, delta_rows FROM vdb.check('vac_v', true);
-- In the delta, too.
DELETE FROM vac WHERE id > 10000;
VACUUM vac;
SELECT * FROM vt.stats;
INSERT INTO vac SELECT 20000 + i, vt.uniform(20000 + i, 16) FROM generate_series(1, 1800) i;
SET enable_seqscan = off;
SELECT count(*) FILTER (WHERE n.id = q.i) >= 97, bool_or(n.id BETWEEN 10001 AND 12000)
FROM generate_series(20001, 21800, 18) q(i), LATERAL (
  SELECT id FROM vac ORDER BY v <-> vt.uniform(q.i, 16) LIMIT 1) n;
-- A session that has searched before sees what vacuum did in lists.
SELECT id FROM vac ORDER BY v <-> vt.uniform(2500, 16) LIMIT 1;
DELETE FROM vac WHERE id = 2500;
VACUUM vac;
SELECT id = 2500 FROM vac ORDER BY v <-> vt.uniform(2500, 16) LIMIT 1;
-- Rows of aborted transactions and subtransactions are collected.
BEGIN;
INSERT INTO vac SELECT 30000 + i, vt.uniform(30000 + i, 16) FROM generate_series(1, 100) i;
ROLLBACK;
BEGIN;
SAVEPOINT a;
INSERT INTO vac SELECT 31000 + i, vt.uniform(31000 + i, 16) FROM generate_series(1, 100) i;
ROLLBACK TO a;
INSERT INTO vac VALUES (32000, vt.uniform(32000, 16));
COMMIT;
SELECT delta_rows FROM vt.stats;
VACUUM vac;
SELECT delta_rows FROM vt.stats;
SELECT id FROM vac ORDER BY v <-> vt.uniform(32000, 16) LIMIT 1;
-- Every other row, whole lists, everything; then rows again.
DELETE FROM vac WHERE id % 2 = 0;
VACUUM (INDEX_CLEANUP off) vac;
SELECT vt.recall('vac', 'v', '<->', :'queries', 10) > 0.9 AS without_cleanup;
VACUUM (INDEX_CLEANUP on) vac;
SELECT vt.recall('vac', 'v', '<->', :'queries', 10) > 0.9 AS with_cleanup;
SET enable_seqscan = off;
DELETE FROM vac WHERE v <-> vt.uniform(-1, 16) < 1.5;
VACUUM vac;
SELECT vt.recall('vac', 'v', '<->', 'SELECT vt.uniform(-1, 16)::text', 50) > 0.7 AS hole;
DELETE FROM vac;
VACUUM vac;
SELECT * FROM vt.stats;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM vac ORDER BY v <-> vt.uniform(-1, 16) LIMIT 10) s;
INSERT INTO vac SELECT i, vt.uniform(i, 16) FROM generate_series(1, 300) i;
SELECT vt.recall('vac', 'v', '<->', :'queries', 10) > 0.9 AS again;
SELECT dead, delta_rows FROM vdb.check('vac_v', true);
VACUUM FREEZE vac;
VACUUM (PARALLEL 2) vac;
ANALYZE vac;
SELECT reltuples FROM pg_class WHERE relname = 'vac_v';
-- Rows that come and go take the room of those before them.
CREATE TABLE churn (id int, v vector(64)) WITH (autovacuum_enabled = off);
CREATE INDEX churn_v ON churn USING vdb (v);
INSERT INTO churn SELECT i, vt.uniform(i, 64) FROM generate_series(1, 2000) i;
SELECT pg_relation_size('churn_v') AS size \gset
DELETE FROM churn;
VACUUM churn;
INSERT INTO churn SELECT i, vt.uniform(i, 64) FROM generate_series(1, 2000) i;
DELETE FROM churn;
VACUUM churn;
INSERT INTO churn SELECT i, vt.uniform(i, 64) FROM generate_series(1, 2000) i;
DELETE FROM churn WHERE id % 2 = 0;
VACUUM churn;
INSERT INTO churn SELECT i, vt.uniform(i, 64) FROM generate_series(2, 2000, 2) i;
SELECT pg_relation_size('churn_v') <= 1.5 * :size AS same_size;
SELECT delta_rows FROM vdb.check('churn_v', true);
DROP TABLE churn;
-- Several indexes, vacuumed by parallel workers.
CREATE INDEX vac_ip ON vac USING vdb (v vector_ip_ops);
CREATE INDEX vac_l1 ON vac USING vdb (v vector_l1_ops);
SET min_parallel_index_scan_size = 0;
DELETE FROM vac WHERE id % 3 = 0;
VACUUM (PARALLEL 2) vac;
SELECT indexname, rows, delta_rows FROM vdb.stat_index WHERE tablename = 'vac' ORDER BY 1;
RESET min_parallel_index_scan_size;
RESET enable_seqscan;
DROP VIEW vt.stats;
-- The free space map is there before VACUUM has something to record in it: it needs no room of its
-- own. After a build and after inserts into an empty index.
CREATE TABLE mapped (id int, v vector(16)) WITH (autovacuum_enabled = off);
INSERT INTO mapped SELECT i, vt.uniform(i, 16) FROM generate_series(1, 1500) i;
CREATE INDEX mapped_built ON mapped USING vdb (v);
CREATE TABLE vt.sizes (index text, fsm bigint, main bigint);
CREATE TABLE grown (LIKE mapped) WITH (autovacuum_enabled = off);
CREATE INDEX mapped_grown ON grown USING vdb (v);
INSERT INTO grown SELECT * FROM mapped;
INSERT INTO vt.sizes SELECT i, pg_relation_size(i, 'fsm'), pg_relation_size(i)
FROM unnest(ARRAY['mapped_built', 'mapped_grown']) i;
SELECT count(*) FROM vt.sizes WHERE fsm > 0;
DELETE FROM mapped WHERE id > 100;
DELETE FROM grown WHERE id > 100;
VACUUM (INDEX_CLEANUP ON) mapped, grown;
SELECT index, fsm - pg_relation_size(index, 'fsm') AS fsm, main - pg_relation_size(index) AS main FROM vt.sizes ORDER BY 1;
-- What was freed is used.
INSERT INTO mapped SELECT i, vt.uniform(i, 16) FROM generate_series(1, 1400) i;
SELECT main - pg_relation_size(index) AS main FROM vt.sizes WHERE index = 'mapped_built';
SELECT delta_rows FROM vdb.check('mapped_built', true);
DROP TABLE mapped, grown;
-- More lists than three pages of dead counts hold, most of one row: 41 lists to a page of TIDs, and
-- pages of TIDs whose lists are counted on two pages.
CREATE TABLE tiny (id int, v vector(4)) WITH (autovacuum_enabled = off);
INSERT INTO tiny SELECT i, vt.uniform(i, 4) FROM generate_series(1, 8000) i;
CREATE INDEX tiny_v ON tiny USING vdb (v) WITH (lists = 8000, code_bits = 1);
SELECT lists BETWEEN 3 * 2038 + 1 AND 8000 AS lists FROM vdb.stat_index WHERE indexname = 'tiny_v';
DELETE FROM tiny WHERE id % 3 = 0;
VACUUM (INDEX_CLEANUP ON) tiny;
SELECT dead, rows - dead AS live FROM vdb.check('tiny_v', true);
DELETE FROM tiny WHERE id < 7990;
VACUUM (INDEX_CLEANUP ON) tiny;
SELECT dead, rows - dead AS live FROM vdb.check('tiny_v', true);
SET vdb.probes = 8000;
SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM tiny ORDER BY v <-> '[0,0,0,0]' LIMIT 20) s;
RESET vdb.probes;
DROP TABLE tiny;
DROP TABLE vac;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
