-- avg and sum over vector and halfvec, alone and in parallel.

SELECT avg(v), sum(v) FROM (VALUES ('[1,2,3]'::vector), ('[3,5,7]'), (NULL)) t(v);
SELECT avg(v), sum(v) FROM (VALUES ('[1,2,3]'::halfvec), ('[3,5,7]'), (NULL)) t(v);
SELECT avg(v), sum(v) FROM (SELECT '[1]'::vector WHERE false) t(v);
SELECT avg(v), sum(v) FROM (VALUES (NULL::halfvec), (NULL)) t(v);
SELECT avg(v) FROM (VALUES ('[1,2]'::vector), ('[3]')) t(v);
SELECT avg(v) FROM (VALUES ('[1,2]'::halfvec), ('[3]')) t(v);
SELECT sum(v) FROM (VALUES ('[1,2]'::vector), ('[3]')) t(v);
-- avg sums in double; sum in the type itself
SELECT avg(v) FROM (VALUES ('[3e38]'::vector), ('[3e38]')) t(v);
SELECT sum(v) FROM (VALUES ('[3e38]'::vector), ('[3e38]')) t(v);
SELECT avg(v) FROM (VALUES ('[65504]'::halfvec), ('[65504]')) t(v);
SELECT sum(v) FROM (VALUES ('[65504]'::halfvec), ('[65504]')) t(v);

-- groups and windows keep their states apart
SELECT g, avg(v), sum(v) FROM (VALUES (1, '[1,10]'::vector), (2, '[3,30]'), (1, '[2,20]')) t(g, v) GROUP BY g ORDER BY g;
SELECT i, avg(v) OVER w, sum(v) OVER w FROM (VALUES (1, '[1,10]'::vector), (2, '[3,30]'), (3, '[5,20]')) t(i, v)
  WINDOW w AS (ORDER BY i);

-- the transition functions called by hand leave their arguments alone
CREATE TABLE state (s double precision[]);
INSERT INTO state VALUES ('{1,2,3}');
SELECT vector_accum(s, '[10,20]'), halfvec_accum(s, '[10,20]'), vector_combine(s, '{2,5,5}'), halfvec_combine(s, '{0}') FROM state;
SELECT s, vector_avg(s), halfvec_avg(s), vector_avg('{0}') FROM state;
SELECT vector_accum('{0}', '[1,2]'), vector_combine('{0}', '{1,2}'), vector_combine('{0}', '{0}');
DROP TABLE state;

-- parallel: the combine functions meet states with and without rows
CREATE TABLE parallel_avg (v vector(3), h halfvec(3)) WITH (parallel_workers = 2);
INSERT INTO parallel_avg SELECT ARRAY[i, -i, 2 * i]::vector, ARRAY[i % 8, 1, 2]::halfvec FROM generate_series(1, 4000) i;
INSERT INTO parallel_avg VALUES (NULL, NULL);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT avg(v), sum(v), avg(h) FROM parallel_avg;
SELECT avg(v), sum(v), avg(h) FROM parallel_avg;
SELECT avg(v), sum(h) FROM parallel_avg WHERE v <-> '[7,-7,14]' = 0;
SELECT avg(v), sum(h) FROM parallel_avg WHERE v <-> '[0,-7,14]' = 0;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
DROP TABLE parallel_avg;
