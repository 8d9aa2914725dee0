-- Every metric and number of code bits, at few, odd and many dimensions; data far from the origin.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

-- Builds an index on table m and returns what is wrong with its searches.
CREATE FUNCTION vt.try(element text, metric text, op text, bits int, dims int, queries text, k int DEFAULT 10)
  RETURNS text LANGUAGE plpgsql AS $$
DECLARE share numeric;
BEGIN
  EXECUTE format('CREATE INDEX m_v ON m USING vdb (v %s_%s_ops) WITH (code_bits = %s)', element, metric, bits);
  share := vt.recall('m', 'v', op, queries, k);
  DROP INDEX m_v;
  RETURN CASE WHEN share < 0.85 THEN format('%s %s, %s bits, %s dimensions: %s', element, metric, bits, dims, share) END;
EXCEPTION WHEN OTHERS THEN
  RETURN format('%s %s, %s bits, %s dimensions: %s', element, metric, bits, dims, SQLERRM);
END $$;
-- 1 and 5 bits with all dimensions, the others with some.
CREATE FUNCTION vt.try_all(data text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE dims int; bits int; metric text;
BEGIN
  FOREACH dims IN ARRAY ARRAY[1, 2, 3, 31, 63, 64, 65, 130] LOOP
    EXECUTE format('CREATE TABLE m (id int, v vector(%s))', dims);
    EXECUTE format('INSERT INTO m SELECT i, %s FROM generate_series(1, 2100) i', format(data, dims));
    FOREACH bits IN ARRAY CASE dims WHEN 3 THEN ARRAY[1, 2, 3, 4, 5, 6, 7, 8] WHEN 65 THEN ARRAY[1, 2, 3, 4, 5, 6, 7, 8] ELSE ARRAY[1, 5] END LOOP
      FOREACH metric IN ARRAY ARRAY['l2 <->', 'ip <#>', 'cosine <=>', 'l1 <+>'] LOOP
        CONTINUE WHEN bits NOT IN (1, 5) AND metric <> 'l2 <->' AND bits <> dims % 9;
        RETURN NEXT vt.try('vector', split_part(metric, ' ', 1), split_part(metric, ' ', 2), bits, dims,
          format('SELECT (%s)::text FROM generate_series(1, 15) i', format(query, dims)));
      END LOOP;
    END LOOP;
    DROP TABLE m;
  END LOOP;
END $$;
SELECT t FROM vt.try_all('vt.uniform(i, %s)', 'vt.uniform(-1000 - i, %s)') t WHERE t IS NOT NULL;
-- Far from the origin; for angles to mean something not as far as for distances.
CREATE TABLE m (id int, v vector(65));
INSERT INTO m SELECT i, vt.uniform(i, 65) + array_fill(1000::real, ARRAY[65])::vector FROM generate_series(1, 2100) i;
SELECT metric, bits, vt.try('vector', metric, op, bits, 65, 'SELECT (vt.uniform(-1000 - i, 65) + array_fill(1000::real, ARRAY[65])::vector)::text FROM generate_series(1, 15) i')
FROM (VALUES ('l2', '<->'), ('ip', '<#>'), ('l1', '<+>')) m(metric, op), unnest(ARRAY[1, 5]) bits;
UPDATE m SET v = v - array_fill(990::real, ARRAY[65])::vector;
SELECT vt.try('vector', 'cosine', '<=>', 5, 65, 'SELECT (vt.uniform(-1000 - i, 65) + array_fill(10::real, ARRAY[65])::vector)::text FROM generate_series(1, 15) i');
DROP TABLE m;
-- Negative, large and small values together.
CREATE TABLE m (id int, v vector(4));
INSERT INTO m SELECT i, vt.uniform(i, 4) * '[1e-2,1,-10,3]'::vector FROM generate_series(1, 2500) i;
SELECT metric, vt.try('vector', metric, op, 5, 4, $$SELECT (vt.uniform(-1000 - i, 4) * '[1e-2,1,-10,3]'::vector)::text FROM generate_series(1, 15) i$$)
FROM (VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m(metric, op);
DROP TABLE m;
-- The distance a search orders by is the metric's.
CREATE TABLE m (id int, v vector(2));
INSERT INTO m VALUES (1, '[1,0]'), (2, '[10,9]'), (3, '[0,1.5]'), (4, '[3,3]');
CREATE INDEX m_l2 ON m USING vdb (v vector_l2_ops);
CREATE INDEX m_ip ON m USING vdb (v vector_ip_ops);
CREATE INDEX m_cosine ON m USING vdb (v vector_cosine_ops);
CREATE INDEX m_l1 ON m USING vdb (v vector_l1_ops);
SET enable_seqscan = off;
SELECT array_agg(id), array_agg(round(d::numeric, 3)) FROM (SELECT id, v <-> '[2,2]' AS d FROM m ORDER BY v <-> '[2,2]') s;
SELECT array_agg(id), array_agg(round(d::numeric, 3)) FROM (SELECT id, v <#> '[2,2]' AS d FROM m ORDER BY v <#> '[2,2]') s;
SELECT array_agg(id), array_agg(round(d::numeric, 3)) FROM (SELECT id, v <=> '[1,0.9]' AS d FROM m ORDER BY v <=> '[1,0.9]') s;
SELECT array_agg(id), array_agg(round(d::numeric, 3)) FROM (SELECT id, v <+> '[2,2]' AS d FROM m ORDER BY v <+> '[2,2]') s;
RESET enable_seqscan;
DROP TABLE m;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
