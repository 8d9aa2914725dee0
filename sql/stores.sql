-- Stores: how they are declared, who may use them, and indexes that keep their objects in one. A directory serves.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all
-- Messages about a server's own directories would differ from run to run.
\set VERBOSITY terse

-- What a server's options may be.
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store;
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'ftp');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path 'relative');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '/tmp', bucket 'vectors');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url 'https://me:secret@portal.invalid');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url 'https://portal.invalid', auth_token 'secret');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's3', region 'eu-1');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's3', bucket 'vectors', max_connections '0');
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's3', bucket 'vectors', region 'eu-1');
ALTER SERVER s OPTIONS (ADD nonsense '1');
ALTER SERVER s OPTIONS (DROP bucket);
ALTER SERVER s OPTIONS (ADD path_style 'on', ADD ca_file '/etc/ssl/ca.pem');
ALTER FOREIGN DATA WRAPPER vdb_store OPTIONS (ADD type 'file');
-- And a user mapping's: messages never hold a value.
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (password 'secret');
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (secret_access_key 'se cret');
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (secret_access_key 'secret', secret_access_key_file '/k');
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (access_key_id 'me', secret_access_key_file '/nowhere/key');
SELECT * FROM vdb.store_check('s');
SELECT * FROM vdb.store_check('nobody');
DROP SERVER s CASCADE;
-- Without TLS: a superuser declares it, which is what a restored dump does, but nobody uses it unless vdb.allow_http says so.
CREATE SERVER s FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url 'http://127.0.0.1:1');
SELECT * FROM vdb.store_check('s');
SET vdb.allow_http = on;
SET vdb.request_timeout = 100;
SELECT bool_and(ok) FROM vdb.store_check('s');
RESET vdb.request_timeout;
RESET vdb.allow_http;
SELECT * FROM vdb.store_check('s');
DROP SERVER s;

-- A directory of this cluster's.
SELECT current_setting('data_directory') || '/vdb_test_store' AS path \gset
DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat >/dev/null; mkdir -p "' || current_setting('data_directory') || '/vdb_test_store"'); END $$;
CREATE SERVER dir FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path :'path');
SELECT step, ok, milliseconds >= 0 AS timed, message FROM vdb.store_check('dir');

-- An index there answers as a local one, by every metric and element type, with distances from the heap and from the chunks.
CREATE TABLE item (id int, v vector(24), h halfvec(24));
INSERT INTO item SELECT i, vt.uniform(i, 24), vt.uniform(i, 24) FROM generate_series(1, 3000) i;
\set queries 'SELECT vt.uniform(-1000 - i, 24)::text FROM generate_series(1, 20) i'
CREATE FUNCTION vt.answers(op text, type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE column_name text := CASE type WHEN 'vector' THEN 'v' ELSE 'h' END; part text; answer text := '';
BEGIN
  SET LOCAL enable_seqscan = off;
  FOR i IN 1 .. 20 LOOP
    EXECUTE format('SELECT string_agg(id::text, '','') FROM (SELECT id FROM item ORDER BY %I %s vt.uniform(-1000 - %s, 24)::%s LIMIT 10) s',
                   column_name, op, i, type) INTO part;
    answer := answer || ';' || part;
  END LOOP;
  RETURN answer;
END $$;
CREATE FUNCTION vt.compare(opclass text, op text, type text) RETURNS TABLE (recall boolean, same_from_chunks boolean) LANGUAGE plpgsql AS $$
DECLARE column_name text := CASE type WHEN 'vector' THEN 'v' ELSE 'h' END; from_heap text;
BEGIN
  EXECUTE format('CREATE INDEX item_remote ON item USING vdb (%I %I) WITH (store = dir)', column_name, opclass);
  recall := vt.recall('item', column_name, op, 'SELECT vt.uniform(-1000 - i, 24)::text FROM generate_series(1, 20) i', 10) > 0.9;
  SET LOCAL vdb.rerank = heap;
  from_heap := vt.answers(op, type);
  SET LOCAL vdb.rerank = chunk;
  same_from_chunks := vt.answers(op, type) = from_heap;
  DROP INDEX item_remote;
  RETURN NEXT;
END $$;
SELECT * FROM vt.compare('vector_l2_ops', '<->', 'vector');
SELECT * FROM vt.compare('vector_ip_ops', '<#>', 'vector');
SELECT * FROM vt.compare('vector_cosine_ops', '<=>', 'vector');
SELECT * FROM vt.compare('vector_l1_ops', '<+>', 'vector');
SELECT * FROM vt.compare('halfvec_l2_ops', '<->', 'halfvec');
SELECT * FROM vt.compare('halfvec_ip_ops', '<#>', 'halfvec');
SELECT * FROM vt.compare('halfvec_cosine_ops', '<=>', 'halfvec');
SELECT * FROM vt.compare('halfvec_l1_ops', '<+>', 'halfvec');

-- Fresh and dead rows; a check of every byte.
CREATE INDEX item_v ON item USING vdb (v) WITH (store = dir, chunk_size = 1000);
INSERT INTO item SELECT i, vt.uniform(i, 24) FROM generate_series(3001, 3100) i;
DELETE FROM item WHERE id % 10 = 0;
SELECT vt.soon('vt.alone()');
VACUUM item;
SELECT vt.recall('item', 'v', '<->', :'queries', 10) > 0.9 AS found;
SET vdb.rerank = chunk;
SELECT vt.recall('item', 'v', '<->', :'queries', 10) > 0.9 AS found;
RESET vdb.rerank;
SELECT store, rows, delta_rows, tombstones, objects, vector_bytes FROM vdb.stat_index WHERE indexname = 'item_v';
SELECT objects, rows, dead, delta_rows FROM vdb.check('item_v', true);
SELECT count(*), bool_and(encrypted) FROM vdb.index_objects('item_v');
SELECT objects, frames > 0 AS frames, bytes > 0 AS bytes, milliseconds >= 0 AS timed FROM vdb.prewarm('item_v', 'routing');
SELECT objects, frames > 0 AS frames, bytes > 0 AS bytes, milliseconds >= 0 AS timed FROM vdb.prewarm('item_v');
SELECT objects, bytes > (SELECT vector_bytes FROM vdb.stat_index WHERE indexname = 'item_v') AS with_vectors FROM vdb.prewarm('item_v', 'everything');
SELECT * FROM vdb.prewarm('item_v', 'all');
-- The CID of an object holds its key: whoever has it can read the object.
SELECT vdb.chunk_cid('item_v', 1) ~ '^u[A-Za-z0-9_-]+$' AS cid, vdb.chunk_cid('item_v', 1) <> vdb.chunk_cid('item_v', 2) AS differs;
SELECT vdb.chunk_cid('item_v', 99);

-- The index depends on its server, and stays where it is until it is moved.
DROP SERVER dir;
REINDEX INDEX item_v;
REINDEX INDEX CONCURRENTLY item_v;
DROP SERVER dir;
ALTER INDEX item_v SET (store = local);
SELECT store FROM vdb.stat_index WHERE indexname = 'item_v';
REINDEX INDEX item_v;
SELECT store FROM vdb.stat_index WHERE indexname = 'item_v';
ALTER INDEX item_v SET (store = dir);
REINDEX INDEX item_v;
SELECT store FROM vdb.stat_index WHERE indexname = 'item_v';
-- A slip is no server that was renamed.
ALTER INDEX item_v SET (store = mistyped);
SELECT reloptions FROM pg_class WHERE relname = 'item_v';
DROP INDEX item_v;

-- The default is for first builds; it is written into the index's options.
SET vdb.default_store = dir;
CREATE INDEX item_v ON item USING vdb (v);
CREATE INDEX item_local ON item USING vdb (v) WITH (store = local);
SELECT relname, reloptions FROM pg_class WHERE relname IN ('item_v', 'item_local') ORDER BY 1;
RESET vdb.default_store;
REINDEX INDEX item_v;
SELECT indexname, store FROM vdb.stat_index WHERE tablename = 'item' ORDER BY 1;
DROP INDEX item_v, item_local;
CREATE INDEX item_v ON item USING vdb (v);
SET vdb.default_store = dir;
REINDEX INDEX item_v;
REINDEX INDEX CONCURRENTLY item_v;
TRUNCATE item;
SELECT indexname, store FROM vdb.stat_index WHERE tablename = 'item' ORDER BY 1;
-- Options follow a server that is renamed, and so does what is built by them.
RESET vdb.default_store;
INSERT INTO item SELECT i, vt.uniform(i, 24) FROM generate_series(1, 3000) i;
CREATE INDEX item_moved ON item USING vdb (v) WITH (store = dir, code_bits = 2);
CREATE TABLE parted (v vector(3)) PARTITION BY RANGE (v);
CREATE INDEX parted_v ON parted USING vdb (v) WITH (store = dir);
ALTER SERVER dir RENAME TO archive;
CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
SELECT relname, reloptions FROM pg_class WHERE 'store=archive' = ANY (reloptions) ORDER BY 1;
SELECT DISTINCT name FROM vdb.store_owner;
REINDEX INDEX item_moved;
REINDEX INDEX CONCURRENTLY item_moved;
VACUUM FULL item;
SELECT indexname, store FROM vdb.stat_index WHERE tablename IN ('item', 'parted_1') ORDER BY 1;
ALTER SERVER archive RENAME TO local;
-- As if it had been renamed while vdb_ext was not preloaded: an index stays, and what its option means is a server that it is in.
UPDATE pg_foreign_server SET srvname = 'renamed' WHERE srvname = 'archive';
TRUNCATE item;
SELECT reloptions FROM pg_class WHERE relname = 'item_moved';
UPDATE pg_foreign_server SET srvname = 'dir' WHERE srvname = 'renamed';
CREATE SERVER renamed FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path :'path');
UPDATE vdb.store_owner SET name = 'renamed';
REINDEX INDEX item_moved;
SELECT reloptions FROM pg_class WHERE relname = 'item_moved';
SELECT store FROM vdb.stat_index WHERE indexname = 'item_moved';
-- A real change is one.
ALTER INDEX item_moved SET (store = renamed);
UPDATE vdb.store_owner SET name = 'dir';
REINDEX INDEX item_moved;
SELECT store FROM vdb.stat_index WHERE indexname = 'item_moved';
DROP INDEX item_moved;
DROP TABLE parted;
DROP SERVER renamed;
SET vdb.default_store = dir;
-- Temporary and unlogged indexes are local.
CREATE TEMP TABLE passing (v vector(3));
CREATE INDEX passing_v ON passing USING vdb (v);
SELECT store FROM vdb.stat_index WHERE indexname = 'passing_v';
CREATE INDEX ON passing USING vdb (v) WITH (store = dir);
CREATE UNLOGGED TABLE unsafe (v vector(3));
CREATE INDEX ON unsafe USING vdb (v) WITH (store = dir);
RESET vdb.default_store;
CREATE INDEX ON item USING vdb (v) WITH (store = nobody);

-- Who may.
CREATE ROLE vdb_store_user;
GRANT CREATE ON SCHEMA public TO vdb_store_user;
SET ROLE vdb_store_user;
CREATE SERVER own FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url 'https://portal.invalid');
SELECT * FROM vdb.store_check('dir');
CREATE TABLE owned (v vector(3));
CREATE INDEX ON owned USING vdb (v) WITH (store = dir);
RESET ROLE;
GRANT USAGE ON FOREIGN DATA WRAPPER vdb_store TO vdb_store_user;
GRANT USAGE ON FOREIGN SERVER dir TO vdb_store_user;
SET ROLE vdb_store_user;
-- A server option must not read or write files that the role could not.
CREATE SERVER own FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '/tmp');
CREATE SERVER own FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url 'https://portal.invalid', ca_file '/etc/passwd');
CREATE SERVER own FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url 'http://portal.invalid');
CREATE SERVER own FOREIGN DATA WRAPPER vdb_store OPTIONS (type 's5', url 'https://portal.invalid');
CREATE USER MAPPING FOR CURRENT_USER SERVER own OPTIONS (auth_token_file '/etc/passwd');
SELECT bool_and(ok) FROM vdb.store_check('dir');
RESET ROLE;
GRANT USAGE ON SCHEMA vt TO vdb_store_user;
SET ROLE vdb_store_user;
INSERT INTO owned SELECT vt.uniform(i, 3) FROM generate_series(1, 3000) i;
CREATE INDEX owned_v ON owned USING vdb (v) WITH (store = dir);
RESET ROLE;
-- The owner's right counts at each search, whoever searches; what is cached needs none.
REVOKE USAGE ON FOREIGN SERVER dir FROM vdb_store_user;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT 1 FROM owned ORDER BY v <-> '[0,0,0]' LIMIT 5) s;
RESET enable_seqscan;
-- A dump has GRANTs last. So who restores it, a superuser, may build where the owner may not (yet); rebuilding lends no right,
-- nor does calling what the owner has made.
REINDEX INDEX owned_v;
REINDEX INDEX CONCURRENTLY owned_v;
DROP INDEX owned_v;
DROP INDEX IF EXISTS owned_v_ccnew;
CREATE INDEX owned_v ON owned USING vdb (v) WITH (store = dir);
SELECT store FROM vdb.stat_index WHERE indexname = 'owned_v';
SET vdb.default_store = dir;
CREATE INDEX ON owned USING vdb (v);
RESET vdb.default_store;
SET ROLE vdb_store_user;
CREATE FUNCTION build_index() RETURNS void SECURITY DEFINER LANGUAGE sql AS 'CREATE INDEX ON owned USING vdb (v) WITH (store = dir)';
CREATE INDEX ON owned USING vdb (v) WITH (store = dir);
RESET ROLE;
SELECT build_index();
SET ROLE vdb_store_user;
SELECT vdb.chunk_cid('item_v', 1);
RESET ROLE;
-- A directory takes both privileges of the server's owner, whenever it is used, also where a session has it open.
SELECT current_setting('data_directory') || '/vdb_test_own_store' AS own_path \gset
DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat >/dev/null; mkdir -p "' || current_setting('data_directory') || '/vdb_test_own_store"'); END $$;
DROP INDEX owned_v;
GRANT pg_read_server_files TO vdb_store_user;
SET ROLE vdb_store_user;
CREATE SERVER own_dir FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path :'own_path');
RESET ROLE;
GRANT pg_write_server_files TO vdb_store_user;
SET ROLE vdb_store_user;
CREATE SERVER own_dir FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path :'own_path');
CREATE INDEX owned_v ON owned USING vdb (v) WITH (store = own_dir);
SELECT objects FROM vdb.prewarm('owned_v', 'routing');
RESET ROLE;
REVOKE pg_write_server_files FROM vdb_store_user;
SET ROLE vdb_store_user;
CREATE INDEX ON owned USING vdb (v) WITH (store = own_dir);
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT 1 FROM owned ORDER BY v <-> '[0,0,0]' LIMIT 5) s;
\echo :SQLSTATE
RESET ROLE;
GRANT pg_write_server_files TO vdb_store_user;
REVOKE pg_read_server_files FROM vdb_store_user;
SET ROLE vdb_store_user;
SELECT count(*) FROM (SELECT 1 FROM owned ORDER BY v <-> '[0,0,0]' LIMIT 5) s;
RESET ROLE;
GRANT pg_read_server_files TO vdb_store_user;
SELECT count(*) FROM (SELECT 1 FROM owned ORDER BY v <-> '[0,0,0]' LIMIT 5) s;
RESET enable_seqscan;
DROP INDEX owned_v;
SELECT count(*) > 0 AS purged FROM vdb.purge('own_dir');
DROP SERVER own_dir;
SET client_min_messages = warning;
DROP TABLE item, passing, unsafe, owned;
DROP FUNCTION build_index();
DROP SERVER own CASCADE;
-- Objects that nothing uses any more are still there.
DROP SERVER dir;
SELECT count(*) > 10 AS purged FROM vdb.purge('dir');
DROP SERVER dir;
DROP OWNED BY vdb_store_user;
DROP ROLE vdb_store_user;
DROP SCHEMA vt CASCADE;
