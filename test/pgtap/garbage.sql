-- What the catalogs say of the ledger of remote objects and of its functions; who may use them; what they refuse.
BEGIN;
SELECT no_plan();

CREATE FUNCTION pg_temp.properties(name text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT concat_ws(' ', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
                   CASE p.provolatile WHEN 'v' THEN 'volatile' WHEN 's' THEN 'stable' ELSE 'immutable' END,
                   CASE WHEN p.proisstrict THEN 'strict' END,
                   CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
                   CASE WHEN p.proretset THEN 'set' END)
  FROM pg_proc p WHERE p.pronamespace = 'vdb'::regnamespace AND p.proname = name ORDER BY 1 $$;
SELECT results_eq($$SELECT pg_temp.properties('gc')$$,
  ARRAY['gc(dry_run boolean, OUT object text, OUT server name, OUT action text, OUT reason text) volatile strict unsafe set']);
SELECT results_eq($$SELECT pg_temp.properties('adopt')$$, ARRAY[
  'adopt(server name) volatile strict unsafe', 'adopt(server name, database oid) volatile strict unsafe']);
SELECT results_eq($$SELECT pg_temp.properties('purge')$$, ARRAY[
  'purge(server name, database oid, OUT object text, OUT store name, OUT action text, OUT reason text) volatile strict unsafe set',
  'purge(server name, forget boolean, OUT object text, OUT store name, OUT action text, OUT reason text) volatile strict unsafe set']);
SELECT columns_are('vdb', 'object', ARRAY['id', 'server', 'owner', 'database', 'index', 'name', 'size', 'builder',
  'created', 'unreferenced_since', 'unreferenced_lsn']);
SELECT col_is_pk('vdb', 'object', ARRAY['id', 'server'], 'an object has one row');
SELECT columns_are('vdb', 'store_owner', ARRAY['server', 'prefix', 'seed', 'token', 'pending', 'name', 'cluster', 'built_as']);
SELECT col_is_pk('vdb', 'store_owner', ARRAY['server', 'prefix'], 'a prefix has one record');

-- settings
SELECT is((SELECT concat_ws(' ', boot_val, unit, context, min_val) FROM pg_settings WHERE name = 'vdb.gc_retention'),
  '604800 s sighup 0', 'vdb.gc_retention: 7 days');
SELECT throws_ok('SET vdb.gc_retention = 0', '55P02', NULL, 'no session sets the retention for itself');

-- privileges
CREATE ROLE vdb_other;
CREATE ROLE vdb_reader IN ROLE pg_read_all_data;
GRANT USAGE ON SCHEMA vdb TO vdb_other;
CREATE FUNCTION pg_temp.outcome(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', role);
  EXECUTE statement;
  RESET ROLE;
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  RESET ROLE;
  RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.outcome(role, statement), '42501', role || ' may not: ' || statement)
FROM unnest(ARRAY['vdb_other', 'vdb_reader']) role, unnest(ARRAY[
  'SELECT FROM vdb.gc()', 'SELECT FROM vdb.gc(true)', $$SELECT vdb.adopt('nothing')$$, $$SELECT vdb.adopt('nothing', 1::oid)$$,
  $$SELECT FROM vdb.purge('nothing')$$,  $$SELECT FROM vdb.purge('nothing', 1::oid)$$]) statement;
SELECT is(pg_temp.outcome('vdb_other', 'SELECT FROM ' || name), '42501', 'nobody reads ' || name)
FROM unnest(ARRAY['vdb.object', 'vdb.store_owner']) name;
SELECT is_empty($$SELECT relname FROM pg_class WHERE oid IN ('vdb.object'::regclass, 'vdb.store_owner'::regclass)
  AND NOT relrowsecurity$$, 'row security keeps out pg_read_all_data, too');
GRANT EXECUTE ON FUNCTION vdb.gc(boolean), vdb.purge(name, boolean), vdb.purge(name, oid) TO vdb_other;

-- refusals; this transaction has written
SELECT is(pg_temp.outcome('vdb_other', 'SELECT FROM vdb.gc()'), '25001', 'vdb.gc can be granted');
SELECT throws_ok('SELECT FROM vdb.gc()', '25001', 'cannot execute vdb.gc() in a transaction that has written');
SELECT throws_ok('SELECT FROM vdb.gc(true)', '25001', 'cannot execute vdb.gc() in a transaction that has written');
SELECT is_empty('SELECT FROM vdb.gc(NULL)', 'NULL does nothing');
SELECT throws_ok($$SELECT vdb.adopt('nothing')$$, '42704', 'server "nothing" does not exist');
SELECT throws_ok($$SELECT FROM vdb.purge('nothing')$$, '42704', 'server "nothing" does not exist');
CREATE FOREIGN DATA WRAPPER foreign_wrapper;
CREATE SERVER no_store FOREIGN DATA WRAPPER foreign_wrapper;
SELECT throws_ok($$SELECT vdb.adopt('no_store')$$, '25001', 'cannot execute vdb.adopt() in a transaction that has written');
SELECT throws_ok($$SELECT FROM vdb.purge('no_store')$$, '25001',
  'cannot execute vdb.purge() in a transaction that has written');
SELECT is(pg_temp.outcome('vdb_other', $$SELECT FROM vdb.purge('no_store')$$), '42501', 'vdb.purge is for superusers alone');
SELECT is(pg_temp.outcome('vdb_other', $$SELECT FROM vdb.purge('no_store', 1::oid)$$), '42501', 'for a dropped database, too');

-- drops
SELECT lives_ok('DROP SERVER no_store', 'a server of no objects can be dropped');
CREATE SERVER store FOREIGN DATA WRAPPER vdb_store OPTIONS (type 'file', path '/nowhere');
INSERT INTO vdb.object (id, server, owner, database, index, name, size, builder, created)
SELECT sha256('x'), s.oid, 10, d.oid, '00000000-0000-0000-0000-000000000000', 'x', 1, '3', now()
FROM pg_foreign_server s, pg_database d WHERE srvname = 'store' AND datname = current_database();
SELECT throws_ok('DROP SERVER store', '2BP01', 'cannot drop server "store" while vdb indexes have objects there');
SELECT throws_ok('DROP FOREIGN DATA WRAPPER vdb_store CASCADE', '2BP01');
SELECT throws_ok('DROP EXTENSION vdb_ext CASCADE', '2BP01');
SELECT throws_ok('ALTER TABLE vdb.object ADD COLUMN more int; DROP SERVER store', 'XX001',
  'table "vdb.object" does not have the columns that CREATE EXTENSION vdb_ext gave it');
SELECT throws_ok('ALTER TABLE vdb.object ALTER size TYPE numeric; DROP SERVER store', 'XX001');
UPDATE vdb.object SET server = 1;
SELECT lives_ok('DROP SERVER store', 'a server without objects can be dropped');
SELECT throws_ok('DROP EXTENSION vdb_ext CASCADE', '2BP01',
  'cannot drop extension vdb_ext while vdb indexes have remote objects');
UPDATE vdb.object SET database = 1;
SELECT lives_ok('DROP EXTENSION vdb_ext CASCADE', 'objects of the database that this is a copy of are not ours');
SELECT * FROM finish();
ROLLBACK;
