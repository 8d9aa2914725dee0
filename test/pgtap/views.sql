-- What the catalogs say of the views and functions that look into indexes and cache; who may use them.
BEGIN;
SELECT no_plan();

-- functions: name, arguments, volatility, strictness, parallel safety, set
CREATE FUNCTION pg_temp.properties(name text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
                   CASE p.provolatile WHEN 'v' THEN 'volatile' WHEN 's' THEN 'stable' ELSE 'immutable' END,
                   CASE WHEN p.proisstrict THEN 'strict' END,
                   CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
                   CASE WHEN p.proretset THEN 'set' END)
  FROM pg_proc p WHERE p.pronamespace = 'vdb'::regnamespace AND p.proname = name $$;
SELECT is(pg_temp.properties('index_stats'), 'index_stats(index regclass, strict boolean, OUT metric text, OUT element text, '
  'OUT dimensions integer, OUT code_bits integer, OUT store text, OUT encrypted boolean, OUT master_key_id text, '
  'OUT generation bigint, OUT rows bigint, OUT lists bigint, OUT segments bigint, OUT delta_rows bigint, '
  'OUT tombstones bigint, OUT size_bytes bigint, OUT first_code_bytes bigint, OUT ex_code_bytes bigint, '
  'OUT vector_bytes bigint, OUT routing_bytes bigint, OUT tid_bytes bigint, OUT delta_bytes bigint, OUT objects bigint, '
  'OUT recall_target real, OUT theta real, OUT probes real, OUT probes_p80 real, OUT measured_recall real, '
  'OUT calibration_queries bigint) volatile strict unsafe', 'index_stats may start a subtransaction');
SELECT is(pg_temp.properties('index_objects'), 'index_objects(index regclass, OUT segment integer, OUT number integer, '
  'OUT kind text, OUT id text, OUT stored_bytes bigint, OUT plain_bytes bigint, OUT frames bigint, OUT lists bigint, '
  'OUT rows bigint, OUT encrypted boolean, OUT head bytea) volatile strict restricted set', 'index_objects likewise');
SELECT is(pg_temp.properties('check'), 'check(index regclass, "full" boolean, OUT objects bigint, OUT frames bigint, '
  'OUT bytes bigint, OUT lists bigint, OUT rows bigint, OUT dead bigint, OUT delta_rows bigint) volatile strict restricted',
  'check runs in the leader: it takes locks');
SELECT is(pg_temp.properties('estimate'), 'estimate(rows bigint, dims integer, code_bits integer, element text, lists integer, store name, store_vectors boolean, '
  'OUT index_bytes bigint, OUT first_pass_bytes bigint, OUT routing_bytes bigint, OUT build_memory_bytes bigint, '
  'OUT lists bigint, OUT objects bigint, OUT insert_bytes integer, OUT store_bytes bigint) stable safe',
  'estimate depends on settings and nothing else');
SELECT is(pg_temp.properties('last_search'), 'last_search(OUT index regclass, OUT rounds bigint, OUT lists_probed bigint, '
  'OUT codes_scanned bigint, OUT survivors bigint, OUT exact_read bigint, OUT rejected bigint, OUT late_rows bigint, '
  'OUT rows_returned bigint, OUT store_rounds bigint, OUT store_requests bigint, OUT store_bytes bigint, '
  'OUT cache_hits bigint, OUT cache_misses bigint, OUT ranking_time double precision, OUT scanning_time double precision, '
  'OUT fetching_time double precision, OUT exact_time double precision, OUT total_time double precision) volatile restricted',
  'last_search tells of this session');
SELECT is(pg_temp.properties('stat_store'), 'stat_store(OUT server name, OUT breaker text, OUT requests bigint, '
  'OUT received_bytes bigint, OUT sent_bytes bigint, OUT errors jsonb, OUT retries bigint, OUT hedges bigint, '
  'OUT hedges_won bigint, OUT refetches bigint, OUT not_asked bigint, OUT p50 double precision, OUT p95 double precision, '
  'OUT p99 double precision) volatile strict restricted set', 'stat_store tells of all sessions');
SELECT is(pg_temp.properties('store_check'),
  'store_check(server name, OUT step text, OUT ok boolean, OUT milliseconds double precision, OUT message text) '
  'volatile strict unsafe set', 'store_check reports steps');
SELECT is(pg_temp.properties('chunk_cid'), 'chunk_cid(index regclass, number integer) volatile strict restricted',
  'chunk_cid gives text');
SELECT is(pg_temp.properties('prewarm'),
  'prewarm(index regclass, what text, OUT objects bigint, OUT frames bigint, OUT bytes bigint, OUT milliseconds double precision) '
  'volatile strict restricted', 'prewarm returns figures');
SELECT is_empty(
  $$SELECT proname FROM pg_proc WHERE pronamespace = 'vdb'::regnamespace AND (prosecdef OR proleakproof)$$,
  'no function is a security definer or leakproof');
SELECT is_empty(
  $$SELECT p.proname FROM pg_proc p WHERE pronamespace = 'vdb'::regnamespace AND NOT proname ~ '^(opclass_|am_handler)'
    AND p.proname NOT IN ('stat_cache', 'reset_stat_cache', 'rotate_master_key', 'index_stats', 'index_objects', 'check',
                          'estimate', 'last_search', 'gc', 'adopt', 'purge',
                          'store_validator', 'store_check', 'stat_store', 'chunk_cid', 'prewarm', 'manifest')$$,
  'schema vdb has no function that no test here knows');

-- views
SELECT views_are('vdb', ARRAY['stat_cache', 'stat_index', 'stat_store'], 'the views of schema vdb');
SELECT columns_are('vdb', 'stat_index', ARRAY['schemaname', 'tablename', 'indexname', 'indexrelid', 'metric', 'element',
  'dimensions', 'code_bits', 'store', 'encrypted', 'master_key_id', 'generation', 'rows', 'lists', 'segments',
  'delta_rows', 'tombstones', 'size_bytes', 'first_code_bytes', 'ex_code_bytes', 'vector_bytes', 'routing_bytes',
  'tid_bytes', 'delta_bytes', 'objects', 'recall_target', 'theta', 'probes', 'probes_p80', 'measured_recall',
  'calibration_queries']);
SELECT columns_are('vdb', 'stat_cache', ARRAY['shared', 'capacity', 'used', 'pinned', 'hits', 'misses', 'evictions',
  'waits', 'wait_time', 'private_reads', 'bytes_read', 'stats_reset']);
SELECT is_empty(
  $$SELECT relname FROM pg_class WHERE relnamespace = 'vdb'::regnamespace AND relkind IN ('r', 'v')
    AND (relname NOT IN ('master_key', 'object', 'store_owner')) <> has_table_privilege('public', oid, 'SELECT')$$,
  'everybody may read the views, nobody the keys and the ledger');

-- privileges
CREATE ROLE vdb_owner;
CREATE ROLE vdb_other;
CREATE ROLE vdb_monitor IN ROLE pg_monitor;
CREATE SCHEMA hidden;
CREATE TABLE hidden.item (v vector(2));
INSERT INTO hidden.item SELECT ARRAY[i, 1]::vector FROM generate_series(1, 2500) i;
ALTER TABLE hidden.item OWNER TO vdb_owner;
SET LOCAL client_min_messages = warning;
CREATE INDEX item_v ON hidden.item USING vdb (v);
CREATE FUNCTION pg_temp.may(role text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE rows int;
BEGIN
  EXECUTE 'SET LOCAL ROLE ' || role;
  BEGIN
    EXECUTE query;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RESET ROLE;
    RETURN CASE WHEN rows > 0 THEN 'yes' ELSE 'nothing' END;
  EXCEPTION WHEN OTHERS THEN
    RESET ROLE;
    RETURN sqlstate;
  END;
END $$;
CREATE TEMP TABLE access (query text, owner text, other text, monitor text);
CREATE TEMP TABLE oids AS SELECT 'hidden.item_v'::regclass::oid AS item_v;
INSERT INTO access SELECT q, pg_temp.may('vdb_owner', q), pg_temp.may('vdb_other', q), pg_temp.may('vdb_monitor', q)
FROM oids, unnest(ARRAY[
  'SELECT FROM vdb.stat_index WHERE rows = 2500',
  'SELECT FROM vdb.stat_cache',
  format('SELECT vdb.index_stats(%s)', item_v),
  format('SELECT FROM vdb.index_objects(%s)', item_v),
  format('SELECT vdb.check(%s)', item_v),
  format('SELECT vdb.check(%s, true)', item_v),
  format('SELECT vdb.chunk_cid(%s, 0)', item_v),
  format('SELECT vdb.prewarm(%s)', item_v),
  'SELECT FROM vdb.stat_store',
  'SELECT vdb.estimate(10, 3)',
  'SELECT vdb.reset_stat_cache()',
  'SELECT vdb.rotate_master_key()',
  'SELECT FROM vdb.master_key']) q;
SELECT results_eq(
  $$SELECT regexp_replace(query, '\d{4,}', 'index'), owner, other, monitor FROM access ORDER BY ctid$$,
  $$VALUES ('SELECT FROM vdb.stat_index WHERE rows = index', 'yes', 'yes', 'yes'),
           ('SELECT FROM vdb.stat_cache', 'yes', 'yes', 'yes'),
           ('SELECT vdb.index_stats(index)', 'yes', 'yes', 'yes'),
           ('SELECT FROM vdb.index_objects(index)', 'yes', '42501', 'yes'),
           ('SELECT vdb.check(index)', 'yes', '42501', '42501'),
           ('SELECT vdb.check(index, true)', 'yes', '42501', '42501'),
           ('SELECT vdb.chunk_cid(index, 0)', 'yes', '42501', '42501'),
           ('SELECT vdb.prewarm(index)', 'yes', '42501', '42501'),
           ('SELECT FROM vdb.stat_store', 'nothing', 'nothing', 'nothing'),
           ('SELECT vdb.estimate(10, 3)', 'yes', 'yes', 'yes'),
           ('SELECT vdb.reset_stat_cache()', '42501', '42501', '42501'),
           ('SELECT vdb.rotate_master_key()', '42501', '42501', '42501'),
           ('SELECT FROM vdb.master_key', '42501', '42501', '42501')$$,
  'who may do what');
SELECT lives_ok($$SELECT vdb.check('hidden.item_v', true)$$, 'a superuser may check what is another''s');
SELECT is(current_user, session_user, 'a check leaves the user as it was');

SELECT * FROM finish();
ROLLBACK;
