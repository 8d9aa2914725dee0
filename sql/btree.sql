-- Comparison operators and the btree operator classes.

SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt, vector_cmp(a, b) AS cmp
  FROM (VALUES ('[1,2,3]'::vector, '[1,2,3]'::vector), ('[1,2,3]', '[1,2]'), ('[1,2]', '[1,2,3]'), ('[1,2]', '[2,0,0]'),
               ('[0]', '[-0]'), ('[1,2,3]', '[1,3,2]')) t(a, b);
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt, halfvec_cmp(a, b) AS cmp
  FROM (VALUES ('[1,2,3]'::halfvec, '[1,2,3]'::halfvec), ('[1,2,3]', '[1,2]'), ('[1,2]', '[1,2,3]'), ('[1,2]', '[2,0,0]'),
               ('[0]', '[-0]'), ('[1,2,3]', '[1,3,2]')) t(a, b);

CREATE TABLE ordered (v vector(2), h halfvec(2));
INSERT INTO ordered SELECT ARRAY[i % 3, -i]::vector, ARRAY[i % 3, -i]::halfvec FROM generate_series(1, 9) i;
INSERT INTO ordered VALUES (NULL, NULL);
SELECT v FROM ordered ORDER BY v;
SELECT h FROM ordered ORDER BY h DESC NULLS LAST;
SELECT DISTINCT subvector(v, 1, 1) FROM ordered ORDER BY 1;
SELECT count(*) FROM ordered a JOIN ordered b ON a.v = b.v AND a.h = b.h;

CREATE INDEX ordered_v ON ordered (v);
CREATE UNIQUE INDEX ordered_h ON ordered (h);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT v FROM ordered WHERE v = '[1,-4]';
SELECT v FROM ordered WHERE v = '[1,-4]';
EXPLAIN (COSTS OFF) SELECT h FROM ordered WHERE h > '[1,-4]' ORDER BY h;
SELECT h FROM ordered WHERE h > '[1,-4]' ORDER BY h;
SELECT v FROM ordered WHERE v <= '[0,-6]' ORDER BY v;
INSERT INTO ordered (h) VALUES ('[0,-3]');
RESET enable_seqscan;
RESET enable_bitmapscan;

-- statistics: selectivity of equality comes from the most common values
CREATE TABLE skewed AS SELECT CASE WHEN i <= 900 THEN '[1]' ELSE '[2]' END::vector AS v FROM generate_series(1, 1000) i;
ANALYZE skewed;
SELECT n_distinct, most_common_freqs FROM pg_stats WHERE tablename = 'skewed';

DROP TABLE ordered, skewed;
