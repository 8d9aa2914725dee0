-- vdb.stat_index, vdb.index_stats, vdb.index_objects: what they say of indexes of all kinds.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE item (id int, v vector(24)) WITH (autovacuum_enabled = off);
CREATE INDEX item_v ON item USING vdb (v);

-- Nothing was indexed: no object, no key, nothing calibrated.
\x on
SELECT schemaname, tablename, indexname, indexrelid = 'item_v'::regclass AS oid, metric, element, dimensions,
       code_bits, store, encrypted, master_key_id, generation, rows, lists, segments, delta_rows, tombstones,
       first_code_bytes, ex_code_bytes, vector_bytes, routing_bytes, tid_bytes, delta_bytes, objects,
       recall_target, theta, probes, probes_p80, measured_recall, calibration_queries
FROM vdb.stat_index WHERE tablename = 'item';
\x off

-- Fresh rows are in the delta.
INSERT INTO item SELECT i, vt.clustered(i, 24) FROM generate_series(1, 200) i;
SELECT rows, delta_rows, lists, objects, delta_bytes > 0 AS has_delta, size_bytes = pg_relation_size('item_v') AS size
FROM vdb.stat_index WHERE indexname = 'item_v';

-- A trained index: what each part takes follows from its rows.
INSERT INTO item SELECT i, vt.clustered(i, 24) FROM generate_series(201, 6000) i;
SET vdb.recall_target = 0.9;
SET vdb.chunk_size = 1000;
REINDEX INDEX item_v;
RESET vdb.recall_target;
RESET vdb.chunk_size;
SELECT rows, delta_rows, tombstones, segments, lists BETWEEN 20 AND 30 AS lists, objects BETWEEN 7 AND 9 AS objects,
       length(master_key_id) > 0 AS has_key, recall_target, vector_bytes, delta_bytes
FROM vdb.stat_index WHERE indexname = 'item_v';
-- Blocks of 32 codes of 64 bits and factors; ex records of 4 more bits and factors; TIDs and a mask.
SELECT first_code_bytes % (32 * (8 + 8)) AS whole_blocks,
       first_code_bytes / (8 + 8.0) BETWEEN 6000 AND 6000 + 32 * lists AS padded,
       ex_code_bytes = 6000 * (8 + 32) AS ex_codes,
       routing_bytes BETWEEN lists * (64 + 12) AND lists * (64 + 12) + 1024 AS routing,
       tid_bytes BETWEEN 6000 * 6 AND 6000 * 6 + (objects + lists) * 8192 AS tids,
       size_bytes > first_code_bytes + ex_code_bytes + routing_bytes + tid_bytes AS size
FROM vdb.stat_index WHERE indexname = 'item_v';
SELECT probes BETWEEN 1 AND lists AS probes, probes_p80 >= 1 AS p80, measured_recall BETWEEN 0.9 AND 1 AS recall,
       theta BETWEEN 0 AND 10 AS theta, calibration_queries BETWEEN 300 AND 1000 AS queries
FROM vdb.stat_index WHERE indexname = 'item_v';

-- Dead rows count once vacuum has seen them; those of the delta leave it.
DELETE FROM item WHERE id % 10 = 0;
SELECT rows, delta_rows, tombstones FROM vdb.index_stats('item_v');
VACUUM (INDEX_CLEANUP ON) item;
SELECT rows, delta_rows, tombstones FROM vdb.index_stats('item_v');
INSERT INTO item SELECT i, vt.clustered(i, 24) FROM generate_series(6001, 6100) i;
SELECT rows, delta_rows, tombstones FROM vdb.index_stats('item_v');
DELETE FROM item WHERE id > 6050;
VACUUM (INDEX_CLEANUP ON) item;
SELECT rows, delta_rows, tombstones FROM vdb.index_stats('item_v');
TRUNCATE item;
SELECT rows, delta_rows, tombstones, objects, master_key_id FROM vdb.index_stats('item_v');
INSERT INTO item SELECT i, vt.clustered(i, 24) FROM generate_series(1, 3000) i;
REINDEX INDEX item_v;

-- Every operator class and option.
CREATE TABLE kind (a vector(3), b halfvec(70));
CREATE INDEX kind_l2 ON kind USING vdb (a);
CREATE INDEX kind_ip ON kind USING vdb (a vector_ip_ops) WITH (code_bits = 1);
CREATE INDEX kind_cosine ON kind USING vdb (a vector_cosine_ops) WITH (code_bits = 8);
CREATE INDEX kind_l1 ON kind USING vdb (a vector_l1_ops) WITH (encrypt_at_rest = off);
CREATE INDEX kind_half ON kind USING vdb (b halfvec_cosine_ops);
CREATE INDEX kind_expression ON kind USING vdb ((a::halfvec(3)) halfvec_ip_ops);
SELECT indexname, metric, element, dimensions, code_bits, encrypted FROM vdb.stat_index
WHERE tablename = 'kind' ORDER BY indexname COLLATE "C";

-- Partitions have indexes, the partitioned table has none to show.
CREATE TABLE part (id int, v vector(3)) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
CREATE INDEX part_v ON part USING vdb (v);
SELECT tablename, indexname FROM vdb.stat_index WHERE tablename LIKE 'part%' ORDER BY 1;
SELECT vdb.index_stats('part_v');

-- Objects: the routing object first; ciphertext.
CREATE INDEX item_plain ON item USING vdb (v) WITH (encrypt_at_rest = off, chunk_size = 1000);
SELECT i AS index, min(number) AS first, count(*) = max(number) + 1 AS numbered, min(kind) FILTER (WHERE number = 0) AS kind,
       bool_and(kind = 'chunk') FILTER (WHERE number > 0) AS chunks, count(DISTINCT id) = count(*) AS ids,
       bool_and(id ~ '^[0-9a-f]{64}$') AS hex, bool_and(stored_bytes = plain_bytes + 16 * frames) AS tags,
       bool_and(frames = (plain_bytes + 16383) / 16384) AS frames, bool_and(encrypted) AS encrypted,
       bool_and(length(head) = 16) AS head, bool_or(substr(head, 1, 3) = '\xd9d9f7') AS readable,
       sum(rows) FILTER (WHERE kind = 'chunk') AS rows, max(rows) FILTER (WHERE kind = 'routing') AS routing_rows
FROM unnest(ARRAY['item_v', 'item_plain']) i, vdb.index_objects(i::regclass) o GROUP BY 1 ORDER BY 1;
SELECT count(*) = max(s.objects) AS objects, sum(o.lists) FILTER (WHERE kind = 'chunk') = max(s.lists) AS lists
FROM vdb.index_objects('item_v') o, vdb.index_stats('item_v') s;
SELECT count(*) FROM vdb.index_objects('kind_l2');

-- What is no vdb index, or cannot be read.
SELECT vdb.index_stats('item');
SELECT * FROM vdb.index_objects('item');
CREATE INDEX item_id ON item (id);
SELECT vdb.index_stats('item_id');
SELECT * FROM vdb.index_objects('part_v');
SELECT vdb.index_stats(NULL);
SELECT vdb.index_stats(0::oid);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'item_plain'::regclass;
SELECT count(*) FROM vdb.stat_index WHERE indexname = 'item_plain';
SELECT vdb.index_stats('item_plain');
SELECT * FROM vdb.index_objects('item_plain');
CREATE TEMP TABLE mine (v vector(3));
CREATE INDEX mine_v ON mine USING vdb (v);
SELECT indexname, rows FROM vdb.stat_index WHERE tablename = 'mine';

DROP TABLE item, kind, part, mine;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
