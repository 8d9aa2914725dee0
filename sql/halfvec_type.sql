-- The type halfvec: text and binary form, type modifier, storage.

-- text
SELECT '[1,2,3]'::halfvec;
SELECT ' [ 1 ,	2 , -3 ] '::halfvec;
SELECT '[1.,.5,+2,-0,1e3,0x10]'::halfvec;
-- rounds to 11 bits, prints as the float that the half is
SELECT '[0.1,0.3,2049,2051,65504,65519,-65504]'::halfvec;
SELECT '[6e-8,5.9604645e-8,2e-8,-2e-8,6.1e-5]'::halfvec AS subnormal;
-- every finite half reads back: recv takes the bits, text goes through a float
WITH halves AS (
  SELECT halfvec_send(h)::text AS sent, halfvec_send(h::text::halfvec)::text AS again
  FROM (SELECT ('[' || string_agg(((1 + m / 1024.0) * 2.0 ^ e)::text, ',') || ']')::halfvec AS h
        FROM generate_series(0, 1023) m, generate_series(-14, 15) e
        GROUP BY m / 512) packed
)
SELECT sum(length(sent)), bool_and(sent = again) AS same FROM halves;

-- type modifier
SELECT '[1,2,3]'::halfvec(3);
SELECT '[1,2,3]'::halfvec(2);
CREATE TABLE typed (a halfvec, b halfvec(2));
SELECT attname, format_type(atttypid, atttypmod), attstorage FROM pg_attribute
  WHERE attrelid = 'typed'::regclass AND attnum > 0 ORDER BY attnum;
INSERT INTO typed VALUES ('[1]', '[1,2]'), ('[1,2,3]', NULL);
INSERT INTO typed VALUES ('[1]', '[1,2,3]');
UPDATE typed SET b = a WHERE vector_dims(a) = 3;
SELECT * FROM typed;

-- layout: 4 bytes of varlena header, 2 of dimension, 2 unused, 2 an element
SELECT pg_column_size('[1,2,3]'::halfvec), pg_column_size('[1]'::halfvec);
SELECT halfvec_send('[1,-2,0.5,65504,5.9604645e-8]');

DROP TABLE typed;
