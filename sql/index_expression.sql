-- Indexes on expressions.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE expr (id int, a real[], v vector(10), h halfvec(10));
INSERT INTO expr SELECT i, vt.uniform(i, 10)::real[], vt.uniform(i, 10), vt.uniform(i, 10) FROM generate_series(1, 3000) i;
CREATE INDEX expr_array ON expr USING vdb ((a::vector(10)));
CREATE INDEX expr_half ON expr USING vdb ((v::halfvec(10)) halfvec_cosine_ops);
CREATE INDEX expr_part ON expr USING vdb ((subvector(v, 1, 4)::vector(4)));
CREATE INDEX expr_null ON expr USING vdb ((CASE WHEN id % 2 = 0 THEN v END::vector(10)) vector_l1_ops);
INSERT INTO expr SELECT i, vt.uniform(i, 10)::real[], vt.uniform(i, 10), vt.uniform(i, 10) FROM generate_series(3001, 3200) i;
\set queries 'SELECT vt.uniform(-1000 - i, 10)::text FROM generate_series(1, 20) i'
SELECT vt.recall('expr', 'a::vector(10)', '<->', :'queries', 10) > 0.9 AS found;
SELECT vt.recall('expr', 'v::halfvec(10)', '<=>', :'queries', 10) > 0.9 AS found;
SELECT vt.recall('expr', 'subvector(v, 1, 4)::vector(4)', '<->',
  'SELECT vt.uniform(-1000 - i, 4)::text FROM generate_series(1, 20) i', 10) > 0.9 AS found;
SELECT vt.recall('expr', '(CASE WHEN id % 2 = 0 THEN v END::vector(10))', '<+>', :'queries', 10, 'id % 2 = 0') > 0.9 AS found;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM expr ORDER BY a::vector(10) <-> '[1,2,3,4,5,6,7,8,9,10]' LIMIT 1;
EXPLAIN (COSTS OFF) SELECT id FROM expr ORDER BY v::halfvec(10) <=> '[1,2,3,4,5,6,7,8,9,10]' LIMIT 1;
SELECT id FROM expr ORDER BY a::vector(10) <-> vt.uniform(3100, 10) LIMIT 1;
UPDATE expr SET a = vt.uniform(-5, 10)::real[] WHERE id = 3100;
SELECT id FROM expr ORDER BY a::vector(10) <-> vt.uniform(-5, 10) LIMIT 1;
-- HOT across an expression: another column changes.
UPDATE expr SET h = NULL WHERE id = 3100;
SELECT id, h FROM expr ORDER BY a::vector(10) <-> vt.uniform(-5, 10) LIMIT 1;
-- An expression that fails for one row fails that row's INSERT.
INSERT INTO expr VALUES (0, '{1,2}', NULL, NULL);
SELECT count(*) FROM expr WHERE id = 0;
-- An expression that yields another dimension than the index has cannot be indexed.
CREATE FUNCTION vt.cut(v vector, n int) RETURNS vector LANGUAGE sql IMMUTABLE AS 'SELECT subvector(v, 1, n)';
CREATE INDEX ON expr USING vdb ((vt.cut(v, 1 + id % 3)));
CREATE INDEX ON expr USING vdb ((vt.cut(v, 1 + id % 3)::vector(2)));
-- The expression sees the row that is visible, not the newest.
CREATE TABLE versions (id int, scale real, v vector(2));
INSERT INTO versions SELECT i, 1, ARRAY[i, 0]::vector FROM generate_series(1, 100) i;
CREATE FUNCTION vt.scaled(v vector, s real) RETURNS vector LANGUAGE sql IMMUTABLE AS 'SELECT v * ARRAY[s, s]::vector';
CREATE INDEX versions_v ON versions USING vdb ((vt.scaled(v, scale)::vector(2)));
UPDATE versions SET scale = 1000 WHERE id = 50;
SELECT id FROM versions ORDER BY vt.scaled(v, scale)::vector(2) <-> '[50000,0]' LIMIT 1;
SELECT id FROM versions ORDER BY vt.scaled(v, scale)::vector(2) <-> '[50,0]' LIMIT 2;
RESET enable_seqscan;
DROP TABLE versions, expr;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
