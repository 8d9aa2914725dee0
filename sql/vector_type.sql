-- The type vector: text and binary form, type modifier, storage.

-- text
SELECT '[1,2,3]'::vector;
SELECT ' [ 1 ,	2 , -3 ] '::vector;
SELECT '[1.,.5,+2,-0,1e3,0x10]'::vector;
SELECT '[0.1,1e-45,1.17549435e-38,3.4028235e38,16777216,16777217,123456789]'::vector;
SELECT '[1e-46,-1e-46]'::vector AS underflow;
-- what is printed reads back as the same bits
SELECT setseed(0.42);
WITH source AS (
  SELECT array_agg((random() * 10 ^ (random() * 70 - 35))::real * (CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END))::vector AS v
  FROM generate_series(1, 16000) i
)
SELECT vector_dims(v), v::text::vector = v AS same FROM source;

-- type modifier
SELECT '[1,2,3]'::vector(3);
SELECT '[1,2,3]'::vector(2);
SELECT '[1]'::vector(16000);
CREATE TABLE typed (a vector, b vector(2));
SELECT attname, format_type(atttypid, atttypmod), attstorage FROM pg_attribute
  WHERE attrelid = 'typed'::regclass AND attnum > 0 ORDER BY attnum;
INSERT INTO typed VALUES ('[1]', '[1,2]'), ('[1,2,3]', NULL);
INSERT INTO typed VALUES ('[1]', '[1,2,3]');
INSERT INTO typed SELECT a, a FROM typed WHERE vector_dims(a) = 3;
UPDATE typed SET b = a WHERE vector_dims(a) = 3;
SELECT * FROM typed;
ALTER TABLE typed ALTER a TYPE vector(2);
DELETE FROM typed WHERE vector_dims(a) = 3;
ALTER TABLE typed ALTER a TYPE vector(1);
SELECT a, format_type(atttypid, atttypmod) FROM typed, pg_attribute
  WHERE attrelid = 'typed'::regclass AND attname = 'a';

-- layout: 4 bytes of varlena header, 2 of dimension, 2 unused, 4 an element
SELECT pg_column_size('[1,2,3]'::vector), pg_column_size('[1]'::vector);
SELECT vector_send('[1,-2,0.5]');

-- values too long for a page go out of line, uncompressed
CREATE TABLE long (v vector(4000));
INSERT INTO long SELECT array_agg(0)::vector FROM generate_series(1, 4000);
SELECT pg_column_size(v), v = l2_normalize(v) AS still_zero FROM long;

DROP TABLE typed, long;
