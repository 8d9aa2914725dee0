-- Operators and functions on halfvec.

SELECT '[0,0]'::halfvec <-> '[3,4]' AS l2, '[1,2]'::halfvec <#> '[3,4]' AS negative_ip,
       '[1,1]'::halfvec <=> '[-1,-1]' AS cosine, '[1,2,3]'::halfvec <+> '[3,0,3]' AS l1;
SELECT l2_distance('[0,0]'::halfvec, '[3,4]'), inner_product('[1,2]'::halfvec, '[3,4]'),
       cosine_distance('[1,0]'::halfvec, '[0,2]'), l1_distance('[1,2]'::halfvec, '[0,-2]');
SELECT halfvec_l2_squared_distance('[0,0]', '[3,4]'), halfvec_negative_inner_product('[1,2]', '[3,4]'),
       halfvec_spherical_distance('[1,0]', '[0,1]'), halfvec_spherical_distance('[1,0]', '[-1,0]');
-- sums are in float and do not overflow where halves would
SELECT '[65504]'::halfvec <-> '[-65504]' AS l2, '[65504,65504]'::halfvec <#> '[1,1]' AS negative_ip,
       '[65504]'::halfvec <+> '[-65504]' AS l1;
SELECT bool_and(inner_product(v, ones) = n * (n + 1) / 2
  AND l1_distance(v, ones - ones) = n * (n + 1) / 2
  AND halfvec_l2_squared_distance(v, v - ones) = n) AS exact
FROM generate_series(1, 300) n,
  LATERAL (SELECT array_agg(i)::halfvec AS v, array_agg(1)::halfvec AS ones FROM generate_series(1, n) i) s;
SELECT '[0,0]'::halfvec <=> '[1,1]' AS zero;

SELECT '[1,2,3]'::halfvec + '[4,5,6]', '[1,2,3]'::halfvec - '[4,5,7]', '[1,2,3]'::halfvec * '[4,5,-6]',
       '[1,2]'::halfvec || '[3]';
SELECT halfvec_add('[1]', '[2]'), halfvec_sub('[1]', '[2]'), halfvec_mul('[3]', '[2]'), halfvec_concat('[1]', '[2]');
SELECT '[2048]'::halfvec + '[1]' AS rounded;
SELECT '[65504]'::halfvec + '[65504]';
SELECT '[-65504]'::halfvec - '[65504]';
SELECT '[65504]'::halfvec * '[2]';
SELECT '[1e-5]'::halfvec * '[1e-5]';
SELECT '[0,1e-5]'::halfvec * '[1e-5,0]' AS no_underflow;

SELECT vector_dims('[1,2,3]'::halfvec), l2_norm('[3,4]'::halfvec), l2_norm('[30000,40000]'::halfvec);
SELECT l2_normalize('[3,4]'::halfvec), l2_normalize('[0,0]'::halfvec), l2_normalize('[65504]'::halfvec), l2_normalize('[6e-8]'::halfvec);
SELECT binary_quantize('[1,0,-1,6e-8,-0,2,3,4,-5]'::halfvec);
SELECT subvector('[1,2,3,4,5]'::halfvec, 1, 3) AS first, subvector('[1,2,3,4,5]'::halfvec, 4, 9) AS clipped,
       subvector('[1,2,3,4,5]'::halfvec, -1, 3) AS before, subvector('[1,2,3,4,5]'::halfvec, 3, 2147483647) AS no_overflow;
SELECT subvector('[1,2,3]'::halfvec, 4, 1);

CREATE TABLE stored (v halfvec);
INSERT INTO stored SELECT array_agg(i % 7)::halfvec FROM generate_series(1, 3) i;
INSERT INTO stored SELECT array_agg(i % 7)::halfvec FROM generate_series(1, 8000) i;
SELECT vector_dims(v), v <-> v AS self, inner_product(v, v), l2_norm(v) FROM stored ORDER BY vector_dims(v);
DROP TABLE stored;
