-- Casts of vector and halfvec: which, how willingly, and what they refuse.

SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast
  WHERE 'vector'::regtype IN (castsource, casttarget) OR 'halfvec'::regtype IN (castsource, casttarget)
  ORDER BY castsource::regtype::text, casttarget::regtype::text;

-- arrays to vectors
SELECT ARRAY[1,2,3]::vector, ARRAY[1.5,2.5]::vector, ARRAY[1.5,2.5]::real[]::vector, ARRAY[0.1]::double precision[]::vector;
SELECT ARRAY[1,2,3]::halfvec, ARRAY[1.5,2.5]::halfvec, ARRAY[1.5,2.5]::real[]::halfvec, ARRAY[0.1]::double precision[]::halfvec;
SELECT '[2:4]={1,2,3}'::int[]::vector AS lower_bound, ARRAY[16777217, -2147483648]::vector AS rounded;
SELECT ARRAY[1,2,3]::vector(3), ARRAY[1,2,3]::halfvec(3);
SELECT ARRAY[1,2,3]::vector(2);
SELECT ARRAY[1,2,3]::halfvec(2);
SELECT '{}'::real[]::vector;
SELECT '{}'::real[]::halfvec;
SELECT ARRAY[[1,2],[3,4]]::vector;
SELECT ARRAY[[1,2],[3,4]]::halfvec;
SELECT ARRAY[1,NULL]::vector;
SELECT ARRAY[NULL,1.5]::halfvec;
SELECT '{NaN}'::real[]::vector;
SELECT '{Infinity}'::double precision[]::vector;
SELECT '{-Infinity}'::numeric[]::halfvec;
SELECT '{1e300}'::double precision[]::vector;
SELECT ARRAY[1e300]::numeric[]::vector;
SELECT '{65520}'::int[]::halfvec;
SELECT '{-1e5}'::real[]::halfvec;
SELECT array_agg(1)::vector FROM generate_series(1, 16001);
SELECT array_agg(1)::halfvec FROM generate_series(1, 16001);
SELECT vector_dims(array_agg(1)::vector), vector_dims(array_agg(1.5)::halfvec) FROM generate_series(1, 16000);
-- a slice of an array with nulls keeps the bitmap in front of its data
SELECT trim_array(ARRAY[1.5,2,NULL]::real[], 1)::vector;

-- vectors to arrays
SELECT '[1,2.5,-3]'::vector::real[], '[1,2.5,-3]'::halfvec::real[];
SELECT array_dims('[1,2,3]'::vector::real[]), (('[1,2,3]'::vector)::real[])[2];
-- implicit for vector, so a function on real[] takes one; halfvec needs the cast
CREATE FUNCTION second(real[]) RETURNS real LANGUAGE sql RETURN $1[2];
SELECT second('[1,2.5,3]'::vector);
SELECT second('[1,2.5,3]'::halfvec);
DROP FUNCTION second;

-- vector and halfvec
SELECT '[1,0.1,65504]'::vector::halfvec, '[1,0.1,65504]'::halfvec::vector;
SELECT '[1,2]'::vector::halfvec(2), '[1,2]'::halfvec::vector(2);
SELECT '[1,2]'::vector::halfvec(3);
SELECT '[1,2]'::halfvec::vector(3);
SELECT '[65520]'::vector::halfvec;
SELECT '[1e-9,-1e-9]'::vector::halfvec AS underflow;
-- vector turns into halfvec by itself, halfvec into vector only when assigned
SELECT halfvec_l2_squared_distance('[1,2]'::vector, '[1,4]'::vector);
SELECT vector_norm('[3,4]'::halfvec);
CREATE TABLE assigned (v vector(2), h halfvec(2));
INSERT INTO assigned VALUES ('[1,2]'::halfvec, '[3,4]'::vector), (ARRAY[5,6], ARRAY[7.5,8.5]), ('{9,10}'::real[], '{11,12}'::float8[]);
SELECT * FROM assigned;
INSERT INTO assigned (v) VALUES (ARRAY[1,2,3]);
-- a column of another type compares by its own operators, not by those of the array
SELECT v <-> ARRAY[1,2]::vector AS distance FROM assigned;
SELECT v <-> ARRAY[1,2]::real[] AS distance FROM assigned;
DROP TABLE assigned;
