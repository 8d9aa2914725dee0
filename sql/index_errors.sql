-- What cannot be indexed or searched, and what an error says.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all
\a
\t

CREATE TABLE err (id int, v vector(3), w vector, h halfvec(3), t text, b real[]);
INSERT INTO err SELECT i, ARRAY[i, 1, 2]::vector, ARRAY[i, 1, 2]::vector, ARRAY[i % 100, 1, 2]::halfvec, 'x', '{1}' FROM generate_series(1, 2500) i;
-- A column without dimensions, types and opclasses that do not go together.
SELECT vt.outcome(c) FROM (VALUES
  ($$CREATE INDEX ON err USING vdb (w)$$),
  ($$CREATE INDEX ON err USING vdb (t)$$),
  ($$CREATE INDEX ON err USING vdb (b)$$),
  ($$CREATE INDEX ON err USING vdb (id)$$),
  ($$CREATE INDEX ON err USING vdb (h vector_l2_ops)$$),
  ($$CREATE INDEX ON err USING vdb (v halfvec_l2_ops)$$),
  ($$CREATE INDEX ON err USING vdb (v vector_no_ops)$$),
  ($$CREATE INDEX ON err USING vdb (v vector_l2_ops, h)$$),
  ($$CREATE INDEX ON err USING vdb (v) INCLUDE (id)$$),
  ($$CREATE UNIQUE INDEX ON err USING vdb (v)$$),
  ($$CREATE INDEX ON err USING vdb (v DESC)$$),
  ($$CREATE INDEX ON err USING vdb (v NULLS FIRST)$$),
  ($$ALTER TABLE err ADD EXCLUDE USING vdb (v WITH <->)$$),
  ($$CREATE INDEX ON err USING vdb ((v::vector(4)))$$)) v(c);
-- More dimensions than allowed.
SELECT vt.outcome(c) FROM (VALUES
  ($$CREATE TABLE big (v vector(16001))$$),
  ($$CREATE TABLE big (h halfvec(16001))$$),
  ($$CREATE TABLE big (v vector(0))$$)) v(c);
CREATE TABLE big (v vector);
INSERT INTO big SELECT array_fill(1::real, ARRAY[16000])::vector;
CREATE INDEX ON big USING vdb ((v::vector(16001)));
CREATE INDEX ON big USING vdb ((v::vector(16000)));
DROP TABLE big;
-- The wrong dimension, in rows and in queries; values no vector can have.
CREATE INDEX err_v ON err USING vdb (v);
CREATE INDEX err_h ON err USING vdb (h);
SELECT vt.outcome(c) FROM (VALUES
  ($$INSERT INTO err (id, v) VALUES (0, '[1,2]')$$),
  ($$INSERT INTO err (id, v) VALUES (0, '[1,2,NaN]')$$),
  ($$INSERT INTO err (id, v) VALUES (0, '[1,2,Infinity]')$$),
  ($$INSERT INTO err (id, v) VALUES (0, '[1,2,4e38]')$$),
  ($$INSERT INTO err (id, h) VALUES (0, '[1,2,70000]')$$),
  ($$UPDATE err SET v = '[1,2,3,4]' WHERE id = 1$$)) v(c);
SET enable_seqscan = off;
SELECT vt.outcome(c) FROM (VALUES
  ($$SELECT id FROM err ORDER BY v <-> '[1,2]' LIMIT 1$$),
  ($$SELECT id FROM err ORDER BY v <-> '[1,2,3,4]' LIMIT 1$$),
  ($$SELECT id FROM err ORDER BY v <-> '[1,NaN,3]' LIMIT 1$$),
  ($$SELECT id FROM err ORDER BY h <-> '[1,2]' LIMIT 1$$)) v(c);
PREPARE wrong(vector) AS SELECT id FROM err ORDER BY v <-> $1 LIMIT 1;
EXECUTE wrong('[1,2,3]');
EXECUTE wrong('[1,2,3,4]');
EXECUTE wrong('[1,2,3]');
-- The error is the operator's own.
SELECT id FROM err WHERE v <-> '[1,2]' < 1;
-- Only the opclass's operator is answered.
SELECT vt.uses('SELECT id FROM err ORDER BY v <#> ''[1,2,3]'' LIMIT 1', 'err_v');
SELECT vt.uses('SELECT id FROM err ORDER BY v <=> ''[1,2,3]'' LIMIT 1', 'err_v');
SELECT vt.uses('SELECT id FROM err ORDER BY v <-> ''[1,2,3]'' DESC LIMIT 1', 'err_v');
SELECT vt.uses('SELECT id FROM err WHERE v = ''[1,2,3]''', 'err_v');
SELECT vt.uses('SELECT id FROM err ORDER BY v LIMIT 1', 'err_v');
SELECT vt.uses('SELECT id FROM err ORDER BY id, v <-> ''[1,2,3]'' LIMIT 1', 'err_v');
SELECT vt.uses('SELECT count(*) FROM err', 'err_v');
SELECT vt.uses('SELECT id FROM err ORDER BY ''[1,2,3]'' <-> v LIMIT 1', 'err_v');
RESET enable_seqscan;
-- What an access method has to answer for others.
SELECT vt.outcome(c) FROM (VALUES
  ($$CLUSTER err USING err_v$$),
  ($$ALTER TABLE err REPLICA IDENTITY USING INDEX err_v$$),
  ($$ALTER TABLE err ALTER v TYPE vector(4)$$)) v(c);
-- Without its dimension the column keeps the index, and the index its dimension.
ALTER TABLE err ALTER v TYPE vector;
SET enable_seqscan = off;
SELECT vt.outcome(c) FROM (VALUES
  ($$INSERT INTO err (id, v) VALUES (0, '[1,2]')$$),
  ($$REINDEX INDEX err_v$$)) v(c);
SELECT id FROM err ORDER BY v <-> '[7,1,2]' LIMIT 1;
RESET enable_seqscan;
ALTER TABLE err ALTER v TYPE halfvec(3);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcmethod = (SELECT oid FROM pg_am WHERE amname = 'vdb') AND opcname ~ '^(vector|halfvec)_';
-- Opclasses of others that the access method cannot serve.
CREATE OPERATOR CLASS vt.wrong_strategy FOR TYPE vector USING vdb AS OPERATOR 1 < (vector, vector), FUNCTION 1 vdb.opclass_vector_l2(internal);
CREATE OPERATOR CLASS vt.no_function FOR TYPE halfvec USING vdb AS OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops;
SELECT vt.outcome('CREATE INDEX ON err USING vdb (h vt.no_function)');
SELECT opcname, amvalidate(oid) FROM pg_opclass WHERE opcnamespace = 'vt'::regnamespace ORDER BY 1;

DROP TABLE err;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
