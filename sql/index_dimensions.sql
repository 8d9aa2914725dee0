-- The most dimensions a vector can have, with every number of code bits.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE wide (id int, v vector(16000));
ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
ALTER TABLE wide SET (parallel_workers = 1);
CREATE FUNCTION vt.wide(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS
  'SELECT (vt.uniform(i, 40)::real[] || array_fill(0.25::real, ARRAY[15960]))::vector';
INSERT INTO wide SELECT i, vt.wide(i) FROM generate_series(1, 2000) i;
SET maintenance_work_mem = '128MB';
CREATE FUNCTION vt.try(bits int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE share numeric;
BEGIN
  EXECUTE format('CREATE INDEX wide_v ON wide USING vdb (v) WITH (code_bits = %s)', bits);
  share := vt.recall('wide', 'v', '<->', 'SELECT vt.wide(-i)::text FROM generate_series(1, 2) i', 10);
  DROP INDEX wide_v;
  RETURN share > 0.6;
END $$;
SELECT bits, vt.try(bits) AS found FROM generate_series(1, 8) bits;
-- In the delta, where a page holds four of them.
CREATE TABLE few (id int, v vector(16000), h halfvec(16000));
CREATE INDEX few_v ON few USING vdb (v vector_cosine_ops);
CREATE INDEX few_h ON few USING vdb (h);
INSERT INTO few SELECT i, vt.wide(i), vt.wide(i) FROM generate_series(1, 20) i;
SELECT indexname, dimensions, delta_rows FROM vdb.stat_index WHERE tablename = 'few' ORDER BY 1;
SET enable_seqscan = off;
SELECT id FROM few ORDER BY v <=> vt.wide(13) LIMIT 1;
SELECT id FROM few ORDER BY h <-> vt.wide(17)::halfvec LIMIT 1;
DELETE FROM few WHERE id = 17;
VACUUM few;
SELECT id = 17 FROM few ORDER BY h <-> vt.wide(17)::halfvec LIMIT 1;
RESET enable_seqscan;
DROP TABLE wide, few;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
