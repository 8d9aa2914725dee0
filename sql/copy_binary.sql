-- The binary form, out and in again, and what the receiving side refuses.
\getenv builddir PG_ABS_BUILDDIR
\set file :builddir '/results/copy_binary.data'

CREATE TABLE source (v vector, w vector(3), h halfvec);
INSERT INTO source VALUES ('[1,-2.5,3e-45]', '[1,2,3]', '[65504,-0.1]'), (NULL, NULL, NULL), ('[3.4028235e38]', '[4,5,6]', '[-0]');
INSERT INTO source SELECT array_agg(i * 0.1)::vector, '[7,8,9]', array_agg(i * 0.1)::halfvec FROM generate_series(1, 16000) i;
CREATE TABLE target (LIKE source);
COPY source TO :'file' (FORMAT binary);
COPY target FROM :'file' (FORMAT binary);
SELECT count(*), bool_and(s.v IS NOT DISTINCT FROM t.v AND s.w IS NOT DISTINCT FROM t.w AND s.h IS NOT DISTINCT FROM t.h) AS same
  FROM (SELECT row_number() OVER () AS n, * FROM source) s JOIN (SELECT row_number() OVER () AS n, * FROM target) t USING (n);

-- COPY frames a bytea like any other value, so what it writes can be read as a vector
CREATE TABLE bytes (b bytea);
CREATE FUNCTION receive(b bytea, type text, file text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  received text;
BEGIN
  DELETE FROM bytes;
  INSERT INTO bytes VALUES (b);
  EXECUTE format('COPY bytes TO %L (FORMAT binary)', file);
  EXECUTE format('CREATE TEMP TABLE received (v %s)', type);
  EXECUTE format('COPY received FROM %L (FORMAT binary)', file);
  SELECT v::text INTO received FROM received;
  DROP TABLE received;
  RETURN received;
EXCEPTION WHEN OTHERS THEN
  RETURN concat_ws(' | ', SQLSTATE, SQLERRM);
END
$$;
SELECT type, b, receive(b::bytea, type, :'file') FROM (VALUES
  ('vector',     '\x000200003f800000c0000000'),
  ('vector(2)',  '\x000200003f800000c0000000'),
  ('vector(3)',  '\x000200003f800000c0000000'),
  ('vector',     '\x00000000'),
  ('vector',     '\xffff0000'),
  ('vector',     '\x3e810000'),
  ('vector',     '\x000100013f800000'),
  ('vector',     '\x0001ffff3f800000'),
  ('vector',     '\x000200003f800000'),
  ('vector',     '\x000100003f80000000'),
  ('vector',     '\x0001'),
  ('vector',     '\x'),
  ('vector',     '\x000100007fc00000'),
  ('vector',     '\x000100007f800000'),
  ('vector',     '\x00010000ff800000'),
  ('halfvec',    '\x000200003c00c000'),
  ('halfvec(1)', '\x000200003c00c000'),
  ('halfvec',    '\x00000000'),
  ('halfvec',    '\x3e810000'),
  ('halfvec',    '\x000100013c00'),
  ('halfvec',    '\x000100003c'),
  ('halfvec',    '\x000100007e00'),
  ('halfvec',    '\x000100007c00'),
  ('halfvec',    '\x00010000fc00')) t(type, b);

DROP FUNCTION receive;
DROP TABLE source, target, bytes;
