-- Partitioned tables: an index on the parent, merged searches, attaching and detaching.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE parted (id int, v vector(10)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (3000);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (3000) TO (3100);
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (3100) TO (9000);
INSERT INTO parted SELECT i, vt.uniform(i, 10) FROM generate_series(0, 5999) i;
CREATE INDEX parted_v ON parted USING vdb (v) WITH (code_bits = 4);
SELECT indexname, rows, delta_rows, code_bits FROM vdb.stat_index WHERE tablename LIKE 'parted%' ORDER BY 1;
ANALYZE parted;
\set queries 'SELECT vt.uniform(-1000 - i, 10)::text FROM generate_series(1, 20) i'
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM parted ORDER BY v <-> '[1,2,3,4,5,6,7,8,9,10]' LIMIT 10;
SELECT vt.recall('parted', 'v', '<->', :'queries', 10) > 0.9 AS found;
SELECT vt.recall('parted', 'v', '<->', :'queries', 10, 'id < 3050') > 0.9 AS found;
-- A partition made later gets its index; rows go to the right one.
CREATE TABLE parted_4 PARTITION OF parted FOR VALUES FROM (9000) TO (10000);
INSERT INTO parted SELECT i, vt.uniform(i, 10) FROM generate_series(9000, 9099) i;
SET enable_seqscan = off;
SELECT tableoid::regclass, id FROM parted ORDER BY v <-> vt.uniform(9050, 10) LIMIT 1;
SELECT tableoid::regclass, id FROM parted ORDER BY v <-> vt.uniform(3050, 10) LIMIT 1;
-- A table with an index of its own is attached with it.
CREATE TABLE parted_5 (id int, v vector(10));
INSERT INTO parted_5 SELECT i, vt.uniform(i, 10) FROM generate_series(10000, 10049) i;
CREATE INDEX parted_5_own ON parted_5 USING vdb (v);
ALTER TABLE parted ATTACH PARTITION parted_5 FOR VALUES FROM (10000) TO (11000);
SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'parted_v'::regclass ORDER BY 1;
SELECT id FROM parted ORDER BY v <-> vt.uniform(10020, 10) LIMIT 1;
UPDATE parted SET id = 20 + 10000 WHERE id = 9050;
SELECT tableoid::regclass, id FROM parted ORDER BY v <-> vt.uniform(9050, 10) LIMIT 1;
ALTER TABLE parted DETACH PARTITION parted_5;
SELECT id = 10020 AS detached FROM parted ORDER BY v <-> vt.uniform(10020, 10) LIMIT 1;
SELECT id FROM parted_5 ORDER BY v <-> vt.uniform(10020, 10) LIMIT 1;
-- ON ONLY leaves it invalid until every partition's index is attached.
CREATE INDEX parted_ip ON ONLY parted USING vdb (v vector_ip_ops);
SELECT indisvalid FROM pg_index WHERE indexrelid = 'parted_ip'::regclass;
CREATE INDEX CONCURRENTLY parted_1_ip ON parted_1 USING vdb (v vector_ip_ops);
ALTER INDEX parted_ip ATTACH PARTITION parted_1_ip;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'parted_ip'::regclass;
CREATE INDEX CONCURRENTLY ON parted USING vdb (v);
REINDEX INDEX parted_v;
SELECT vt.recall('parted', 'v', '<->', :'queries', 10) > 0.9 AS found;
-- A session that goes over many indexes again and again opens each of them once: the last time it
-- reads no more pages of each than of one alone.
CREATE TABLE many (id int, v vector(2)) PARTITION BY RANGE (id);
SELECT count(*) FROM generate_series(0, 69) i,
  LATERAL (SELECT vt.outcome(format('CREATE TABLE many_%s PARTITION OF many FOR VALUES FROM (%s) TO (%s)', i, 10 * i, 10 * i + 10))) o;
INSERT INTO many SELECT i, ARRAY[i, 1]::vector FROM generate_series(0, 699) i;
CREATE INDEX many_v ON many USING vdb (v);
CREATE FUNCTION pages(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
  FOR i IN 1 .. 3 LOOP
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
  END LOOP;
  RETURN plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks';
END $$;
SELECT pages('SELECT id FROM many ORDER BY v <-> ''[1,1]'' LIMIT 1')
  <= 70 * pages('SELECT id FROM many_69 ORDER BY v <-> ''[1,1]'' LIMIT 1') AS opened_once;
SELECT id FROM many ORDER BY v <-> '[345,1]' LIMIT 3;
DROP TABLE many;
DROP FUNCTION pages;
RESET enable_seqscan;
DROP TABLE parted, parted_5;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
