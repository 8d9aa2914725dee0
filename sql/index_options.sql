-- Options of an index and settings of the session: what they accept, and that builds heed them.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE opt (id int, v vector(8));
INSERT INTO opt SELECT i, vt.uniform(i, 8) FROM generate_series(1, 3000) i;
-- Unknown names and values out of range.
CREATE INDEX ON opt USING vdb (v) WITH (list = 10);
CREATE INDEX ON opt USING vdb (v) WITH (lists = -1);
CREATE INDEX ON opt USING vdb (v) WITH (lists = 1000001);
CREATE INDEX ON opt USING vdb (v) WITH (lists = many);
CREATE INDEX ON opt USING vdb (v) WITH (code_bits = 0);
CREATE INDEX ON opt USING vdb (v) WITH (code_bits = 9);
CREATE INDEX ON opt USING vdb (v) WITH (chunk_size = 999);
CREATE INDEX ON opt USING vdb (v) WITH (chunk_size = 1000001);
CREATE INDEX ON opt USING vdb (v) WITH (index_type = btree);
CREATE INDEX ON opt USING vdb (v) WITH (encrypt_at_rest = perhaps);
CREATE INDEX ON opt USING vdb (v) WITH (fillfactor = 70);
SELECT count(*) FROM pg_index WHERE indrelid = 'opt'::regclass;
SET vdb.recall_target = 0.4;
SET vdb.recall_target = 1;
SET vdb.probes = -1;
SET vdb.probes = 1000001;
SET vdb.max_scan_tuples = -2;
SET vdb.iterative_scan = off;
SET vdb.chunk_size = 10;
SET vdb.cache_size = '1GB';
SET vdb.no_such_setting = 1;
SELECT name, vartype, context, min_val, max_val, enumvals, boot_val FROM pg_settings
WHERE name IN ('vdb.recall_target', 'vdb.probes', 'vdb.max_scan_tuples', 'vdb.iterative_scan', 'vdb.chunk_size', 'vdb.encrypt_at_rest')
ORDER BY name;

-- Every option at once; every spelling of yes and no.
CREATE INDEX opt_v ON opt USING vdb (v) WITH (index_type = ivf, lists = 7, code_bits = 3, chunk_size = 1000, encrypt_at_rest = off);
SELECT reloptions FROM pg_class WHERE relname = 'opt_v';
\set queries 'SELECT vt.uniform(-1000 - i, 8)::text FROM generate_series(1, 20) i'
SELECT vt.recall('opt', 'v', '<->', :'queries', 10) > 0.9 AS found;
SELECT lists, code_bits, encrypted FROM vdb.stat_index WHERE indexname = 'opt_v';
-- Changed options, settings and a REINDEX: only a build reads them.
ALTER INDEX opt_v SET (lists = 20, code_bits = 8, encrypt_at_rest = on);
ALTER INDEX opt_v SET (wrong = 1);
INSERT INTO opt SELECT i, vt.uniform(i, 8) FROM generate_series(3001, 3100) i;
SELECT lists, code_bits, encrypted FROM vdb.stat_index WHERE indexname = 'opt_v';
SELECT vt.recall('opt', 'v', '<->', :'queries', 10) > 0.9 AS found;
REINDEX INDEX opt_v;
SELECT lists, code_bits, encrypted FROM vdb.stat_index WHERE indexname = 'opt_v';
SELECT vt.recall('opt', 'v', '<->', :'queries', 10) > 0.9 AS found;
ALTER INDEX opt_v RESET (lists, code_bits, encrypt_at_rest, chunk_size, index_type);
SELECT reloptions FROM pg_class WHERE relname = 'opt_v';
REINDEX INDEX opt_v;
SELECT lists BETWEEN 5 AND 30 AS automatic, encrypted FROM vdb.stat_index WHERE indexname = 'opt_v';
DROP INDEX opt_v;
DO $$
DECLARE spelling text; answer text := '';
BEGIN
  FOREACH spelling IN ARRAY ARRAY['on', 'true', 'yes', '1', 'off', 'false', 'no', '0'] LOOP
    EXECUTE format('CREATE INDEX opt_v ON opt USING vdb (v) WITH (encrypt_at_rest = %s)', spelling);
    answer := answer || (SELECT encrypted::text || ' ' FROM vdb.stat_index WHERE indexname = 'opt_v');
    DROP INDEX opt_v;
  END LOOP;
  RAISE '%', answer;
END $$;
-- The setting decides where the option is not given.
SET vdb.encrypt_at_rest = off;
CREATE INDEX opt_v ON opt USING vdb (v);
SELECT encrypted FROM vdb.stat_index WHERE indexname = 'opt_v';
DROP INDEX opt_v;
CREATE INDEX opt_v ON opt USING vdb (v) WITH (encrypt_at_rest = on);
SELECT encrypted FROM vdb.stat_index WHERE indexname = 'opt_v';
RESET vdb.encrypt_at_rest;
DROP INDEX opt_v;
CREATE ROLE vt_user;
SET ROLE vt_user;
SET vdb.encrypt_at_rest = off;
SET vdb.recall_target = 0.9;
RESET ROLE;
DROP ROLE vt_user;
RESET vdb.recall_target;
-- A higher target reads more.
SET vdb.recall_target = 0.999;
CREATE INDEX opt_v ON opt USING vdb (v) WITH (lists = 60);
SELECT probes AS lists_999 FROM vdb.stat_index WHERE indexname = 'opt_v' \gset
SET vdb.recall_target = 0.5;
REINDEX INDEX opt_v;
SELECT probes AS lists_500 FROM vdb.stat_index WHERE indexname = 'opt_v' \gset
SELECT :lists_999 > :lists_500 AS reads_more;
RESET vdb.recall_target;
-- Encryption is turned off by superusers, or where the setting is off already.
CREATE ROLE regress_vdb_owner;
CREATE SCHEMA AUTHORIZATION regress_vdb_owner;
GRANT USAGE ON SCHEMA vt TO regress_vdb_owner;
SET ROLE regress_vdb_owner;
CREATE TABLE regress_vdb_owner.own (v vector(2)) WITH (autovacuum_enabled = off);
INSERT INTO regress_vdb_owner.own SELECT ARRAY[i, 1]::vector FROM generate_series(1, 2500) i;
SELECT vt.outcome('CREATE INDEX own_v ON regress_vdb_owner.own USING vdb (v) WITH (encrypt_at_rest = off)');
SELECT vt.outcome('SET vdb.encrypt_at_rest = off');
CREATE INDEX own_v ON regress_vdb_owner.own USING vdb (v) WITH (encrypt_at_rest = on);
SELECT vt.outcome('ALTER INDEX regress_vdb_owner.own_v SET (encrypt_at_rest = 0)');
-- A superuser who restores what the owner had.
RESET ROLE;
DROP INDEX regress_vdb_owner.own_v;
CREATE INDEX own_v ON regress_vdb_owner.own USING vdb (v) WITH (encrypt_at_rest = off);
-- Its owner may rebuild it as it is, and have it encrypted, but not the other way round.
SET ROLE regress_vdb_owner;
REINDEX INDEX regress_vdb_owner.own_v;
SELECT encrypted, rows FROM vdb.stat_index WHERE indexname = 'own_v';
SELECT vt.outcome('ALTER INDEX regress_vdb_owner.own_v SET (lists = 3)');
ALTER INDEX regress_vdb_owner.own_v RESET (encrypt_at_rest);
SELECT vt.outcome('ALTER INDEX regress_vdb_owner.own_v SET (encrypt_at_rest = off)');
-- Where a superuser has turned the setting off, the option says the same.
RESET ROLE;
SET vdb.encrypt_at_rest = off;
SET ROLE regress_vdb_owner;
ALTER INDEX regress_vdb_owner.own_v SET (encrypt_at_rest = off, lists = 3);
REINDEX INDEX regress_vdb_owner.own_v;
SELECT encrypted, lists <= 3 AS lists FROM vdb.stat_index WHERE indexname = 'own_v';
RESET ROLE;
RESET vdb.encrypt_at_rest;
SET client_min_messages = warning;
DROP SCHEMA regress_vdb_owner CASCADE;
DROP OWNED BY regress_vdb_owner;
DROP ROLE regress_vdb_owner;
RESET client_min_messages;
DROP TABLE opt;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
