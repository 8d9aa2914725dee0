-- vdb.check: sound indexes of all kinds, and what can be told from SQL of one that is not.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE item (id int, v vector(24), note text) WITH (autovacuum_enabled = off, fillfactor = 50);
CREATE INDEX item_v ON item USING vdb (v);
SELECT * FROM vdb.check('item_v');
SELECT * FROM vdb.check('item_v', true);
INSERT INTO item SELECT i, vt.clustered(i, 24) FROM generate_series(1, 1000) i;
SELECT * FROM vdb.check('item_v', true);

-- Lists, with dead, late, updated and aborted rows. NULL is not indexed.
INSERT INTO item SELECT i, vt.clustered(i, 24) FROM generate_series(1001, 5000) i;
INSERT INTO item VALUES (0, NULL);
SET vdb.chunk_size = 1000;
REINDEX INDEX item_v;
RESET vdb.chunk_size;
SELECT c.objects = s.objects AS objects, c.lists = s.lists AS lists, c.rows, c.dead, c.delta_rows,
       c.frames = o.frames AS frames, c.bytes = o.bytes AS bytes
FROM vdb.check('item_v') c, vdb.index_stats('item_v') s,
     (SELECT sum(frames) AS frames, sum(stored_bytes) AS bytes FROM vdb.index_objects('item_v')) o;
DELETE FROM item WHERE id % 5 = 0;
SELECT rows, dead, delta_rows FROM vdb.check('item_v', true);
VACUUM (INDEX_CLEANUP ON) item;
SELECT rows, dead, delta_rows FROM vdb.check('item_v', true);
-- New rows on the TIDs of dead ones.
INSERT INTO item SELECT i, vt.clustered(i, 24) FROM generate_series(5001, 6000) i;
SELECT rows, dead, delta_rows FROM vdb.check('item_v', true);
-- Heap-only updates keep the row's first TID; others index another.
UPDATE item SET note = 'seen' WHERE id % 7 = 0;
UPDATE item SET v = vt.clustered(id + 1, 24) WHERE id % 50 = 1;
BEGIN;
INSERT INTO item SELECT i, vt.clustered(i, 24) FROM generate_series(7001, 7100) i;
SELECT delta_rows FROM vdb.check('item_v', true);
ROLLBACK;
SELECT rows, dead, delta_rows FROM vdb.check('item_v', true);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM item;
SELECT rows, dead, delta_rows FROM vdb.check('item_v', true);
COMMIT;
-- Nothing of it stays locked or pinned.
BEGIN;
SELECT count(*) FROM vdb.check('item_v', true);
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('item'::regclass, 'item_v'::regclass);
COMMIT;

-- Zero vectors, duplicates, expressions, predicates, other metrics, without encryption.
UPDATE item SET v = array_fill(0::real, ARRAY[24])::vector WHERE id % 100 = 2;
UPDATE item SET v = array_fill(1::real, ARRAY[24])::vector WHERE id % 3 = 0;
CREATE INDEX item_cosine ON item USING vdb (v vector_cosine_ops) WITH (encrypt_at_rest = off);
CREATE INDEX item_half ON item USING vdb ((v::halfvec(24)) halfvec_l1_ops) WITH (code_bits = 1) WHERE id % 3 > 0;
CREATE INDEX item_ip ON item USING vdb (v vector_ip_ops) WITH (code_bits = 8, lists = 300);
SELECT i AS index, c.rows, c.dead, c.delta_rows FROM unnest(ARRAY['item_cosine', 'item_half', 'item_ip']) i,
  vdb.check(i::regclass, true) c;
INSERT INTO item SELECT i, array_fill((i % 2)::real, ARRAY[24])::vector FROM generate_series(8001, 8010) i;
SELECT i AS index, c.delta_rows FROM unnest(ARRAY['item_cosine', 'item_half', 'item_ip']) i,
  vdb.check(i::regclass, true) c;
CREATE TEMP TABLE mine AS SELECT id, v FROM item;
CREATE INDEX mine_v ON mine USING vdb (v);
SELECT rows > 4000 AS rows FROM vdb.check('mine_v', true);
CREATE UNLOGGED TABLE unlogged AS SELECT id, v FROM item;
CREATE INDEX unlogged_v ON unlogged USING vdb (v);
SELECT rows > 4000 AS rows FROM vdb.check('unlogged_v', true);

-- A predicate that changes its mind leaves rows out: only a look at the table tells.
CREATE FUNCTION wanted(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 2 = 0; END';
CREATE TABLE picky AS SELECT i AS id, vt.uniform(i, 8)::vector(8) AS v FROM generate_series(1, 100) i;
CREATE INDEX picky_v ON picky USING vdb (v) WHERE wanted(id);
SELECT delta_rows FROM vdb.check('picky_v', true);
CREATE OR REPLACE FUNCTION wanted(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN $1 % 2 = 0 OR $1 = 7; END';
SELECT delta_rows FROM vdb.check('picky_v');
\set VERBOSITY sqlstate
SELECT delta_rows FROM vdb.check('picky_v', true);
\set VERBOSITY default
SELECT delta_rows FROM vdb.check('picky_v', true);
REINDEX INDEX picky_v;
SELECT delta_rows FROM vdb.check('picky_v', true);

-- Expressions run with the owner's rights, and what they set does not stay.
CREATE ROLE vdb_owner;
GRANT USAGE ON SCHEMA vt TO vdb_owner;
CREATE FUNCTION vt.told(vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RAISE WARNING 'runs as %', current_user;
  PERFORM set_config('vdb.probes', '7', false);
  RETURN $1;
END $$;
CREATE TABLE owned (v vector(2));
INSERT INTO owned VALUES ('[1,2]');
ALTER TABLE owned OWNER TO vdb_owner;
CREATE INDEX owned_v ON owned USING vdb ((vt.told(v)::vector(2)));
SELECT delta_rows FROM vdb.check('owned_v', true);
SELECT current_user = session_user AS myself, current_setting('vdb.probes') AS probes;

-- Who may not, and what is no vdb index.
SET ROLE vdb_owner;
SELECT delta_rows FROM vdb.check('picky_v');
SELECT delta_rows FROM vdb.check('picky_v', true);
RESET ROLE;
SELECT vdb.check('item');
CREATE INDEX item_id ON item (id);
SELECT vdb.check('item_id');
SELECT vdb.check(NULL);
SELECT vdb.check('item_v', NULL);
SELECT vdb.check(0::oid);

DROP TABLE item, mine, unlogged, picky, owned;
DROP FUNCTION wanted;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
DROP ROLE vdb_owner;
