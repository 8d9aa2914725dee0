-- Manifests: what is stored beside an index in a remote store, vdb.manifest(index), and the mirror of it in two tables.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all
\set VERBOSITY terse
SELECT current_setting('data_directory') || '/vdb_test_manifest' AS path \gset
DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat >/dev/null; mkdir -p "' || current_setting('data_directory') || '/vdb_test_manifest"'); END $$;
CREATE SERVER manifests FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path :'path');
-- Whether the mirror has one row for an index, and chunks, and they say what the manifest does.
CREATE FUNCTION vt.mirrored(which regclass) RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT (SELECT jsonb_build_object('version', 2, 'index', replace(r.index::text, '-', ''), 'epoch', r.epoch, 'parent', r.parent,
            'dimensions', r.dimensions, 'metric', r.metric, 'element_type', r.element_type, 'chunk_size', r.chunk_size,
            'total_vectors', r.total_vectors,
            'ivf_structure', jsonb_build_object('lists', r.lists, 'routing', m.m->'ivf_structure'->'routing'),
            'chunks', (SELECT jsonb_agg(jsonb_build_object('id', c.id, 'cid', c.cid, 'vector_count', c.vector_count,
              'byte_size', c.byte_size, 'list_range', jsonb_build_array(c.first_list, c.last_list)) ORDER BY c.number)
              FROM vdb.chunk c WHERE c.indexrelid = which))
          FROM vdb.manifest r WHERE r.indexrelid = which) = m.m
  FROM vdb.manifest(which) m(m) $$;
-- What is stored as the manifest of an index.
CREATE FUNCTION vt.stored(which regclass) RETURNS SETOF jsonb LANGUAGE sql VOLATILE AS $$
  SELECT pg_read_file(current_setting('data_directory') || '/vdb_test_manifest/' || o.name)::jsonb
  FROM vdb.object o WHERE o.index = (vdb.manifest(which)->>'index')::uuid AND o.name ~ '/manifest-[0-9]+[.]json$' $$;

CREATE TABLE item (id int, v vector(24), h halfvec(24));
INSERT INTO item SELECT i, vt.uniform(i, 24), vt.uniform(i, 24) FROM generate_series(1, 3000) i;
CREATE INDEX item_v ON item USING vdb (v) WITH (store = manifests, chunk_size = 1000);
SELECT jsonb_pretty(m - 'index' - 'chunks' - 'ivf_structure') FROM vdb.manifest('item_v') m;
SELECT vt.stored('item_v') = vdb.manifest('item_v') AS stored;
-- A worker writes the mirror when the build has committed: soon.
SELECT vt.soon($$ vt.mirrored('item_v') $$);
SELECT created BETWEEN now() - interval '1 hour' AND clock_timestamp() AS created FROM vdb.manifest;
-- It agrees with what else is said of the index.
SELECT count(*) > 1 AS several, bool_and(c.id = o.id AND c.byte_size = o.stored_bytes AND c.vector_count = o.rows
  AND c.last_list - c.first_list + 1 = o.lists AND c.cid ~ '^z[1-9A-HJ-NP-Za-km-z]+$') AS same, sum(vector_count)
FROM vdb.chunk c LEFT JOIN vdb.index_objects('item_v') o ON o.number = c.number + 1;
SELECT m->'ivf_structure'->'routing'->>'id' = o.id AS routing FROM vdb.manifest('item_v') m, vdb.index_objects('item_v') o WHERE o.kind = 'routing';
-- Nothing secret: no key of an object.
SELECT strpos(m::text, vdb.chunk_cid('item_v', 1)) FROM vdb.manifest('item_v') m;

-- What rows do does not change it.
INSERT INTO item SELECT i, vt.uniform(i, 24) FROM generate_series(3001, 3100) i;
DELETE FROM item WHERE id % 10 = 0;
SELECT vt.soon('vt.alone()');
VACUUM item;
SELECT vt.stored('item_v') = vdb.manifest('item_v') AS stored, vt.mirrored('item_v');

-- A build that is rolled back leaves the mirror as it was.
SELECT cid FROM vdb.manifest \gset
BEGIN;
REINDEX INDEX item_v;
CREATE INDEX item_h ON item USING vdb (h halfvec_cosine_ops) WITH (store = manifests);
SELECT vt.stored('item_v') = vdb.manifest('item_v') AS stored;
ROLLBACK;
BEGIN;
DROP INDEX item_v;
SELECT count(*) FROM vdb.manifest;
ROLLBACK;
SELECT count(*), bool_and(cid = :'cid') FROM vdb.manifest;
-- Each build makes another index of it.
REINDEX INDEX item_v;
SELECT vt.soon($$ vt.mirrored('item_v') $$);
SELECT count(*), bool_and(cid <> :'cid') FROM vdb.manifest;
SELECT indexrelid AS before FROM vdb.manifest \gset
REINDEX INDEX CONCURRENTLY item_v;
SELECT vt.soon($$ vt.mirrored('item_v') $$);
SELECT count(*), bool_and(indexrelid <> :before) FROM vdb.manifest;
CREATE INDEX CONCURRENTLY item_h ON item USING vdb (h halfvec_cosine_ops) WITH (store = manifests, encrypt_at_rest = off);
SELECT vt.soon($$ vt.mirrored('item_h') $$);
SELECT indexrelid::regclass AS index, metric, element_type, dimensions, chunk_size, total_vectors FROM vdb.manifest ORDER BY 1;
-- Not encrypted, an object's CID is no secret.
SELECT bool_and(vdb.chunk_cid('item_h', number + 1) = cid) FROM vdb.chunk WHERE indexrelid = 'item_h'::regclass;

-- Moved into its own pages and back; a local index has a manifest, too, which is stored nowhere.
ALTER INDEX item_h SET (store = local);
REINDEX INDEX item_h;
SELECT vt.soon($$ NOT EXISTS (SELECT FROM vdb.manifest WHERE indexrelid = 'item_h'::regclass) $$);
SELECT count(*) FROM vdb.chunk WHERE indexrelid = 'item_h'::regclass;
SELECT m->>'metric' AS metric, m->>'total_vectors' AS total_vectors FROM vdb.manifest('item_h') m;
SELECT count(*) FROM vt.stored('item_h');
ALTER INDEX item_h SET (store = manifests);
REINDEX INDEX item_h;
SELECT vt.soon($$ vt.mirrored('item_h') $$);

-- Rows go with the index.
DROP INDEX item_h;
SELECT count(DISTINCT m.indexrelid), count(DISTINCT c.indexrelid) FROM vdb.manifest m, vdb.chunk c;
CREATE INDEX item_h ON item USING vdb (h) WITH (store = manifests);
SELECT vt.soon($$ vt.mirrored('item_h') $$);
SELECT 'item_h'::regclass::oid AS dropped \gset
DROP INDEX CONCURRENTLY item_h;
SELECT vt.soon('NOT EXISTS (SELECT FROM vdb.manifest WHERE indexrelid = ' || :dropped || ')');
TRUNCATE item;
SELECT vdb.manifest('item_v');
SELECT vt.soon('NOT EXISTS (SELECT FROM vdb.manifest)'), vt.soon('NOT EXISTS (SELECT FROM vdb.chunk)');

-- Who may see it.
SELECT vdb.manifest('item');
SELECT vdb.manifest('pg_class_oid_index');
SELECT vdb.manifest(NULL);
CREATE ROLE vdb_manifest_owner;
CREATE ROLE vdb_manifest_member IN ROLE vdb_manifest_owner;
CREATE ROLE vdb_manifest_other IN ROLE pg_read_all_data;
GRANT USAGE ON FOREIGN SERVER manifests TO vdb_manifest_owner;
GRANT CREATE ON SCHEMA public TO vdb_manifest_owner;
SET ROLE vdb_manifest_owner;
CREATE TABLE owned AS SELECT i AS id, array_fill(sin(i)::real, ARRAY[2])::vector(2) AS v FROM generate_series(1, 3000) i;
CREATE INDEX owned_v ON owned USING vdb (v) WITH (store = manifests);
RESET ROLE;
SELECT vt.soon($$ vt.mirrored('owned_v') $$);
INSERT INTO item SELECT i, vt.uniform(i, 24) FROM generate_series(1, 3000) i;
REINDEX INDEX item_v;
SELECT vt.soon($$ vt.mirrored('item_v') $$);
SELECT indexrelid::regclass AS index FROM vdb.manifest ORDER BY 1;
SET ROLE vdb_manifest_member;
SELECT indexrelid::regclass AS index FROM vdb.manifest;
SELECT DISTINCT indexrelid::regclass AS index FROM vdb.chunk;
SELECT vdb.manifest('owned_v') IS NOT NULL AS shown;
SELECT vdb.manifest('item_v');
DELETE FROM vdb.manifest;
UPDATE vdb.chunk SET cid = '';
INSERT INTO vdb.chunk SELECT * FROM vdb.chunk;
SET ROLE vdb_manifest_other;
SELECT count(*) FROM vdb.manifest;
SELECT count(*) FROM vdb.chunk;
SELECT vdb.manifest('owned_v');
SET ROLE vdb_manifest_owner;
DROP INDEX owned_v;
RESET ROLE;
SELECT indexrelid::regclass AS index FROM vdb.manifest ORDER BY 1;

-- A table takes the rows of its indexes along.
DROP TABLE owned, item;
SELECT (SELECT count(*) FROM vdb.manifest) AS manifests, (SELECT count(*) FROM vdb.chunk) AS chunks;
-- What is stored goes with them, by a collection.
ALTER SYSTEM SET vdb.gc_retention = 0;
SELECT pg_reload_conf();
SELECT pg_sleep(1);
SELECT DISTINCT action FROM vdb.gc() WHERE object ~ '/manifest-1[.]json$';
SELECT count(*) FROM vdb.object;
ALTER SYSTEM RESET vdb.gc_retention;
SELECT pg_reload_conf();
SET client_min_messages = warning;
DROP SERVER manifests;
DROP OWNED BY vdb_manifest_owner;
DROP ROLE vdb_manifest_owner, vdb_manifest_member, vdb_manifest_other;
DROP SCHEMA vt CASCADE;
