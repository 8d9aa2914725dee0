-- Indexes on halfvec.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE half (id int, v halfvec(33));
INSERT INTO half SELECT i, vt.uniform(i, 33) FROM generate_series(1, 2500) i;
CREATE INDEX half_l2 ON half USING vdb (v);
CREATE INDEX half_ip ON half USING vdb (v halfvec_ip_ops) WITH (code_bits = 1);
CREATE INDEX half_cosine ON half USING vdb (v halfvec_cosine_ops) WITH (code_bits = 8);
CREATE INDEX half_l1 ON half USING vdb (v halfvec_l1_ops) WITH (code_bits = 3);
INSERT INTO half SELECT i, vt.uniform(i, 33) FROM generate_series(2501, 2700) i;
SELECT indexname, metric, element, dimensions, code_bits, rows, delta_rows FROM vdb.stat_index WHERE tablename = 'half' ORDER BY 1;
\set queries 'SELECT vt.uniform(-1000 - i, 33)::text FROM generate_series(1, 20) i'
SELECT op, vt.recall('half', 'v', op, :'queries', 10) > 0.9 AS found FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) op;
SET enable_seqscan = off;
-- The largest and the smallest halves: sums of their squares are fine.
INSERT INTO half VALUES (9001, array_fill(65504::real, ARRAY[33])::halfvec), (9002, array_fill(-65504::real, ARRAY[33])::halfvec),
  (9003, array_fill(6e-8::real, ARRAY[33])::halfvec);
SELECT id FROM half ORDER BY v <-> array_fill(65504::real, ARRAY[33])::halfvec LIMIT 1;
SELECT id FROM half ORDER BY v <+> array_fill(-65504::real, ARRAY[33])::halfvec LIMIT 1;
SELECT id FROM half ORDER BY v <-> array_fill(0::real, ARRAY[33])::halfvec LIMIT 1;
REINDEX TABLE half;
SELECT id FROM half ORDER BY v <-> array_fill(65504::real, ARRAY[33])::halfvec LIMIT 1;
SELECT id FROM half ORDER BY v <-> array_fill(0::real, ARRAY[33])::halfvec LIMIT 1;
SELECT op, vt.recall('half', 'v', op, :'queries', 10) > 0.9 AS found FROM unnest(ARRAY['<->', '<=>', '<+>']) op;
SET enable_seqscan = off;
-- A vector query becomes a halfvec; NULLs and zero vectors as with vector.
SELECT id FROM half ORDER BY v <-> vt.uniform(42, 33) LIMIT 1;
SELECT vt.uses('SELECT id FROM half ORDER BY v <-> vt.uniform(42, 33) LIMIT 1', 'half_l2');
INSERT INTO half VALUES (9004, NULL), (9005, array_fill(0::real, ARRAY[33])::halfvec);
SELECT indexname, rows FROM vdb.stat_index WHERE tablename = 'half' ORDER BY 1;
SELECT id FROM half ORDER BY v <-> array_fill(0::real, ARRAY[33])::halfvec LIMIT 1;
RESET enable_seqscan;
-- Distances are the operator's.
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id, v <=> vt.uniform(-1, 33)::halfvec AS d FROM half ORDER BY v <=> vt.uniform(-1, 33)::halfvec LIMIT 50) i
JOIN half USING (id) WHERE half.v <=> vt.uniform(-1, 33)::halfvec <> d;
RESET enable_seqscan;
DROP TABLE half;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
