-- What the planner makes of the index: a top-k yes, a full sort no, filters by what they keep.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE plan (id int PRIMARY KEY, tenth int, rare int, v vector(64));
INSERT INTO plan SELECT i, i % 10, i % 1000, vt.uniform(i, 64) FROM generate_series(1, 10000) i;
CREATE INDEX plan_v ON plan USING vdb (v);
CREATE INDEX plan_rare ON plan (rare);
VACUUM ANALYZE plan;
SELECT array_fill(0.5::real, ARRAY[64])::vector::text AS q \gset
SELECT k, vt.uses(format('SELECT id FROM plan ORDER BY v <-> %L LIMIT %s', :'q', k), 'plan_v') AS index
FROM unnest(ARRAY[1, 10, 100]) k;
SELECT vt.uses(format('SELECT id FROM plan ORDER BY v <-> %L', :'q'), 'plan_v') AS full_sort;
SELECT vt.uses(format('SELECT id FROM plan ORDER BY v <-> %L LIMIT 10000', :'q'), 'plan_v') AS all_rows;
-- A filter that keeps a tenth is read past; one that keeps ten rows is answered by its own index.
SELECT vt.uses(format('SELECT id FROM plan WHERE tenth = 3 ORDER BY v <-> %L LIMIT 10', :'q'), 'plan_v') AS tenth;
SELECT vt.uses(format('SELECT id FROM plan WHERE rare = 3 ORDER BY v <-> %L LIMIT 10', :'q'), 'plan_v') AS rare;
SELECT vt.uses(format('SELECT id FROM plan WHERE id = 3 ORDER BY v <-> %L LIMIT 1', :'q'), 'plan_v') AS one;
-- However many rows share a page, and however cheap a page is said to be, a full sort is none of
-- its tasks: few dimensions, and vectors that lie elsewhere.
SET random_page_cost = 1.1;
CREATE TABLE few (id int, v vector(8));
INSERT INTO few SELECT i, vt.uniform(i, 8) FROM generate_series(1, 20000) i;
CREATE INDEX few_v ON few USING vdb (v);
CREATE TABLE elsewhere (id int, v vector(64));
ALTER TABLE elsewhere ALTER v SET STORAGE EXTERNAL;
ALTER TABLE elsewhere SET (toast_tuple_target = 128);
INSERT INTO elsewhere SELECT i, vt.uniform(i, 64) FROM generate_series(1, 10000) i;
CREATE INDEX elsewhere_v ON elsewhere USING vdb (v);
VACUUM ANALYZE few, elsewhere;
SELECT array_fill(0.5::real, ARRAY[8])::vector::text AS q8 \gset
SELECT vt.uses(format('SELECT id FROM few ORDER BY v <-> %L LIMIT 10', :'q8'), 'few_v') AS few,
       vt.uses(format('SELECT id FROM few ORDER BY v <-> %L', :'q8'), 'few_v') AS few_sorted,
       vt.uses(format('SELECT row_number() OVER (ORDER BY v <-> %L) FROM few', :'q8'), 'few_v') AS few_ranked,
       vt.uses(format('SELECT id FROM few WHERE id < 16000 ORDER BY v <-> %L', :'q8'), 'few_v') AS few_filtered,
       vt.uses(format('SELECT id FROM elsewhere ORDER BY v <-> %L LIMIT 10', :'q'), 'elsewhere_v') AS elsewhere,
       vt.uses(format('SELECT id FROM elsewhere ORDER BY v <-> %L', :'q'), 'elsewhere_v') AS elsewhere_sorted;
SET work_mem = '64kB';
SELECT vt.uses(format('SELECT id FROM few ORDER BY v <-> %L', :'q8'), 'few_v') AS few_sorted_on_disk;
RESET work_mem;
RESET random_page_cost;
DROP TABLE few, elsewhere;
-- Parameters: the generic plan uses it too.
PREPARE top(vector) AS SELECT id FROM plan ORDER BY v <-> $1 LIMIT 10;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE top(:'q');
RESET plan_cache_mode;
-- Not for what it cannot answer.
SELECT vt.uses('SELECT count(*) FROM plan', 'plan_v') AS count;
SELECT vt.uses('SELECT id FROM plan WHERE v IS NULL', 'plan_v') AS is_null;
SELECT vt.uses(format('SELECT id FROM plan WHERE v <-> %L < 1', :'q'), 'plan_v') AS by_distance;
-- Costs: finite, startup below total, growing with the limit and the probes.
CREATE FUNCTION vt.cost(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
  RETURN plan -> 0 -> 'Plan' ->> 'Total Cost';
END $$;
SELECT format('SELECT id FROM plan ORDER BY v <-> %L LIMIT ', :'q') AS top \gset
SELECT vt.cost(:'top' || 1) < vt.cost(:'top' || 10) AND vt.cost(:'top' || 10) < vt.cost(:'top' || 100) AS grows;
SELECT vt.cost(:'top' || 10) AS calibrated \gset
SET vdb.probes = 1;
SELECT vt.cost(:'top' || 10) < :calibrated AS one_probe_is_cheaper;
SET vdb.probes = 1000;
SELECT vt.cost(:'top' || 10) > :calibrated AS all_are_dearer;
RESET vdb.probes;
-- A small table is read as it is; an empty one, one never analysed and a column of unknown statistics are planned.
CREATE TABLE small (id int, v vector(64));
INSERT INTO small SELECT i, vt.uniform(i, 64) FROM generate_series(1, 20) i;
CREATE INDEX small_v ON small USING vdb (v);
ANALYZE small;
SELECT vt.uses(format('SELECT id FROM small ORDER BY v <-> %L', :'q'), 'small_v') AS small;
CREATE TABLE empty (id int, v vector(64));
CREATE INDEX empty_v ON empty USING vdb (v);
SELECT count(*) FROM (SELECT id FROM empty ORDER BY v <-> :'q' LIMIT 3) s;
INSERT INTO empty SELECT i, vt.uniform(i, 64) FROM generate_series(1, 5000) i;
SELECT vt.uses(format('SELECT id FROM empty ORDER BY v <-> %L LIMIT 10', :'q'), 'empty_v') AS never_analysed;
-- With joins, aggregates and LATERAL around it.
SELECT vt.uses(format('SELECT max(d) FROM (SELECT v <-> %1$L AS d FROM plan ORDER BY v <-> %1$L LIMIT 10) s', :'q'), 'plan_v') AS subquery;
SELECT vt.uses('SELECT s.id, n.id FROM small s, LATERAL (SELECT id FROM plan p ORDER BY p.v <-> s.v LIMIT 3) n', 'plan_v') AS "lateral";
SELECT vt.uses(format('SELECT p.id FROM plan p JOIN small s USING (id) ORDER BY p.v <-> %L LIMIT 1', :'q'), 'small_v') AS wrong_table;
-- It is never read in parallel or backwards, nor alone for its column.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SELECT vt.uses(format('SELECT v FROM plan ORDER BY v <-> %L LIMIT 10', :'q'), 'plan_v') AS serial;
RESET ALL;
DROP TABLE plan, small, empty;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
