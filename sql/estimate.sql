-- vdb.estimate agrees with the indexes that are built.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE item AS SELECT i AS id, vt.clustered(i, 100)::vector(100) AS v FROM generate_series(1, 12000) i;
-- Builds an index and prints what was estimated too far from it: beyond 10 percent, one object, or two pages.
CREATE FUNCTION vt.compare(tab text, options text, asked int DEFAULT 0)
  RETURNS TABLE (what text, estimated bigint, built bigint) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE INDEX compared ON %I USING vdb (v) %s', tab, options);
  RETURN QUERY
    SELECT n, guess, truth
    FROM vdb.stat_index s,
         vdb.estimate(s.rows, s.dimensions, s.code_bits, s.element, asked, s.store::name, s.vector_bytes > 0) e,
         -- A routing image in the cache has each centroid twice.
         LATERAL (VALUES ('index', e.index_bytes, s.size_bytes, greatest(2 * 8192, 0.1 * s.size_bytes)),
                         ('first pass', e.first_pass_bytes,
                          s.first_code_bytes + 2 * s.routing_bytes + s.delta_rows * (6 + 8 + (s.dimensions + 63) / 64 * 8), NULL),
                         ('routing', e.routing_bytes, s.routing_bytes, NULL),
                         ('insert', e.insert_bytes * s.delta_rows, s.delta_bytes, NULL),
                         ('lists', e.lists, s.lists, NULL),
                         ('objects', e.objects, s.objects, greatest(1, 0.1 * s.objects)),
                         ('store', e.store_bytes,
                          CASE WHEN s.store = 'local' THEN 0
                               ELSE (SELECT sum(stored_bytes)::bigint FROM vdb.index_objects(s.indexrelid)) END, NULL)) f (n, guess, truth, slack)
    WHERE s.indexname = 'compared' AND abs(guess - truth) > coalesce(slack, 0.1 * truth);
  DROP INDEX compared;
END $$;
SELECT * FROM vt.compare('item', '');
SELECT * FROM vt.compare('item', 'WITH (code_bits = 1)');
SELECT * FROM vt.compare('item', 'WITH (code_bits = 8, encrypt_at_rest = off)');
SELECT * FROM vt.compare('item', 'WITH (lists = 10)', 10);
SELECT * FROM vt.compare('item', 'WITH (lists = 600)', 600);
SET vdb.chunk_size = 1000;
SELECT * FROM vt.compare('item', '');
RESET vdb.chunk_size;
CREATE TABLE small AS SELECT id, v::vector(100) FROM item LIMIT 1500;
SELECT * FROM vt.compare('small', '');
CREATE TABLE wide AS
  SELECT id, (v || v || v || v || v || v || v || v || v || v || v || v)::vector(1200) AS v FROM item LIMIT 3000;
SELECT * FROM vt.compare('wide', '');
CREATE TABLE nothing (v vector(3));
SELECT * FROM vt.compare('nothing', '');

-- In a store the objects are not in the index, and hold the vectors unless told otherwise.
SELECT current_setting('data_directory') || '/vdb_estimate_store' AS path \gset
DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat >/dev/null; mkdir -p "' || current_setting('data_directory') || '/vdb_estimate_store"'); END $$;
CREATE SERVER estimated FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path :'path');
CREATE TABLE half AS SELECT id, v::halfvec(100) FROM item;
SELECT * FROM vt.compare('item', 'WITH (store = estimated)');
SELECT * FROM vt.compare('item', 'WITH (store = estimated, store_vectors = off)');
SELECT * FROM vt.compare('item', 'WITH (store_vectors = on)');
SELECT * FROM vt.compare('half', 'WITH (store = estimated)');
SELECT * FROM vt.compare('small', 'WITH (store = estimated)');
SELECT * FROM vt.compare('wide', 'WITH (store = estimated)');
SELECT by_itself.store_bytes = told.store_bytes AS vectors, by_itself.store_bytes > 2 * without.store_bytes AS more,
       by_itself.index_bytes < without.store_bytes AS few_pages, here.store_bytes
FROM vdb.estimate(100000, 384, store => 'estimated') by_itself,
     vdb.estimate(100000, 384, store => 'estimated', store_vectors => true) told,
     vdb.estimate(100000, 384, store => 'estimated', store_vectors => false) without, vdb.estimate(100000, 384) here;
SELECT vdb.estimate(10, 3, store => 'nobody');
SELECT vdb.estimate(10, 3, store => NULL);
SELECT count(*) > 0 AS purged FROM vdb.purge('estimated');
DROP SERVER estimated;

-- A million rows of 384 dimensions: codes and factors of 60 and 208 bytes, TIDs.
SELECT index_bytes / 1000000 AS bytes_a_row, first_pass_bytes / 1000000 AS first_pass_a_row, lists,
       objects BETWEEN 100 AND 110 AS objects, insert_bytes, build_memory_bytes > index_bytes AS memory
FROM vdb.estimate(1000000, 384);
SELECT e.* = h.* AS same_for_halfvec FROM vdb.estimate(5000, 64) e, vdb.estimate(5000, 64, element => 'halfvec') h;

-- Arguments out of range.
SELECT vdb.estimate(-1, 3);
SELECT vdb.estimate(4000000001, 3);
SELECT vdb.estimate(10, 0);
SELECT vdb.estimate(10, 16001);
SELECT vdb.estimate(10, 3, 0);
SELECT vdb.estimate(10, 3, 9);
SELECT vdb.estimate(10, 3, element => 'bit');
SELECT vdb.estimate(10, 3, lists => -1);
SELECT vdb.estimate(10, 3, lists => 1000001);
SELECT vdb.estimate(NULL, 3);
SELECT index_bytes > 0 AS largest FROM vdb.estimate(4000000000, 16000, 8, lists => 1000000);
SELECT index_bytes, lists, objects FROM vdb.estimate(0, 3);

DROP TABLE item, small, wide, nothing, half;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
