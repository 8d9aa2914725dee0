-- A few rows out of all proportion: the index is built, finds the others, and has them, too.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all
\a
\t

-- One row whose rotation leaves the range of float.
CREATE TABLE huge (id int, v vector(16));
INSERT INTO huge SELECT i, vt.uniform(i, 16) FROM generate_series(1, 3000) i;
INSERT INTO huge SELECT 3001, array_fill(3e38::real, ARRAY[16])::vector;
SELECT ops, vt.outcome(format('CREATE INDEX huge_%s ON huge USING vdb (v vector_%s_ops)', ops, ops)),
  vt.recall('huge', 'v', op, $$SELECT vt.uniform(-i, 16)::text FROM generate_series(1, 30) i$$, 20) >= 0.93,
  vt.outcome(format('DROP INDEX huge_%s', ops))
FROM (VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m(ops, op);
-- Twenty rows up to 1e19.
DELETE FROM huge WHERE id > 3000;
INSERT INTO huge SELECT 3000 + i, (SELECT array_agg(x * 10::real ^ (0.95 * i))
  FROM unnest((vt.uniform(7000 + i, 16))::real[]) x)::real[]::vector FROM generate_series(1, 20) i;
SELECT ops, vt.outcome(format('CREATE INDEX huge_%s ON huge USING vdb (v vector_%s_ops)', ops, ops)),
  vt.recall('huge', 'v', op, $$SELECT vt.uniform(-i, 16)::text FROM generate_series(1, 30) i$$, 40) >= 0.93,
  vt.outcome(format('DROP INDEX huge_%s', ops))
FROM (VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m(ops, op);
-- They are found when they are asked for.
CREATE INDEX huge_l2 ON huge USING vdb (v);
SET enable_seqscan = off;
SELECT count(*) FROM huge h, LATERAL (SELECT id FROM huge ORDER BY v <-> h.v LIMIT 1) n WHERE h.id > 3000 AND n.id = h.id;
DROP TABLE huge;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
