-- Operators and functions on vector.

-- distances
SELECT '[0,0]'::vector <-> '[3,4]' AS l2, '[1,2]'::vector <#> '[3,4]' AS negative_ip,
       '[1,1]'::vector <=> '[-1,-1]' AS cosine, '[1,2,3]'::vector <+> '[3,0,3]' AS l1;
SELECT l2_distance('[0,0]'::vector, '[3,4]'), inner_product('[1,2]'::vector, '[3,4]'),
       cosine_distance('[1,0]'::vector, '[0,2]'), l1_distance('[1,2]'::vector, '[0,-2]');
SELECT vector_l2_squared_distance('[0,0]', '[3,4]'), vector_negative_inner_product('[1,2]', '[3,4]'),
       vector_spherical_distance('[1,0]', '[0,1]'), vector_spherical_distance('[1,0]', '[-1,0]');
-- sums are in float: beyond its range they are infinite, as are those of pgvector
SELECT '[3e38]'::vector <-> '[-3e38]' AS l2, '[3e38]'::vector <#> '[3e38]' AS negative_ip,
       '[3e38]'::vector <+> '[-3e38]' AS l1;
-- every length takes another path through the kernels: sums of 1 .. n are exact
SELECT bool_and('[0]'::vector <-> '[0]' = 0
  AND inner_product(v, ones) = n * (n + 1) / 2
  AND l1_distance(v, ones - ones) = n * (n + 1) / 2
  AND vector_l2_squared_distance(v, v - ones) = n) AS exact
FROM generate_series(1, 300) n,
  LATERAL (SELECT array_agg(i)::vector AS v, array_agg(1)::vector AS ones FROM generate_series(1, n) i) s;

-- cosine: NaN for a zero vector; between 0 and 2 for parallel ones, whatever the rounding
SELECT '[0,0]'::vector <=> '[1,1]' AS zero, '[0]'::vector <=> '[0]' AS both_zero;
SELECT bool_and((v <=> v) >= 0 AND (v <=> v) < 1e-6 AND (v <=> v * minus) <= 2 AND (v <=> v * minus) > 1.999999) AS in_range
FROM generate_series(1, 200) n,
  LATERAL (SELECT array_agg(0.1 * i)::vector AS v, array_agg(-1)::vector AS minus FROM generate_series(1, n) i) s;

-- arithmetic
SELECT '[1,2,3]'::vector + '[4,5,6]', '[1,2,3]'::vector - '[4,5,7]', '[1,2,3]'::vector * '[4,5,-6]',
       '[1,2]'::vector || '[3]';
SELECT vector_add('[1]', '[2]'), vector_sub('[1]', '[2]'), vector_mul('[3]', '[2]'), vector_concat('[1]', '[2]');
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[-3e38]'::vector - '[3e38]';
SELECT '[1e37]'::vector * '[1e37]';
SELECT '[1e-37]'::vector * '[1e-37]';
SELECT '[0,1e-37]'::vector * '[1e-37,0]' AS no_underflow;

-- one vector
SELECT vector_dims('[1,2,3]'::vector), vector_norm('[3,4]'), l2_norm('[3,4]'::vector), vector_norm('[3e37,4e37]') BETWEEN 4.99999e37 AND 5.00001e37 AS large;
SELECT l2_normalize('[3,4]'::vector), l2_normalize('[0,0]'::vector), l2_normalize('[3e38]'::vector), l2_normalize('[1e-45]'::vector);
SELECT binary_quantize('[1,0,-1,1e-45,-0,2,3,4,-5]'::vector), binary_quantize('[1]'::vector), length(binary_quantize('[1,0,-1]'::vector));
SELECT subvector('[1,2,3,4,5]'::vector, 1, 3) AS first, subvector('[1,2,3,4,5]'::vector, 4, 9) AS clipped,
       subvector('[1,2,3,4,5]'::vector, -1, 3) AS before, subvector('[1,2,3,4,5]'::vector, 3, 2147483647) AS no_overflow;
SELECT subvector('[1,2,3]'::vector, 4, 1);
SELECT subvector('[1,2,3]'::vector, -3, 4);
SELECT subvector('[1,2,3]'::vector, 1, 0);
SELECT subvector('[1,2,3]'::vector, -2147483648, -2147483648);

-- NULL in, NULL out
SELECT '[1]'::vector <-> NULL AS a, vector_norm(NULL) AS b, '[1]'::vector + NULL AS c;

-- values as they lie in a table: with a short header, out of line, compressed by nobody
CREATE TABLE stored (v vector);
INSERT INTO stored SELECT array_agg(i % 7)::vector FROM generate_series(1, 3) i;
INSERT INTO stored SELECT array_agg(i % 7)::vector FROM generate_series(1, 4000) i;
SELECT vector_dims(v), v <-> v AS self, inner_product(v, v), l2_norm(v) FROM stored ORDER BY vector_dims(v);
SELECT a.v <-> b.v FROM stored a, stored b WHERE vector_dims(a.v) < vector_dims(b.v);
DROP TABLE stored;
