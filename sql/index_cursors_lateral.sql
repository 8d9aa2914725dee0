-- Cursors, rescans by LATERAL and correlated subqueries, functions that search while a search runs.
\getenv dir PG_ABS_SRCDIR
\set helpers :dir '/sql/include/index_helpers.psql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE cur (id int PRIMARY KEY, v vector(12));
INSERT INTO cur SELECT i, vt.uniform(i, 12) FROM generate_series(1, 3000) i;
CREATE INDEX cur_v ON cur USING vdb (v);
INSERT INTO cur SELECT i, vt.uniform(i, 12) FROM generate_series(3001, 3100) i;
CREATE TABLE answer AS SELECT row_number() OVER (ORDER BY d) AS n, d FROM (
  SELECT v <-> vt.uniform(-1, 12) AS d FROM cur) s;
SET enable_seqscan = off;
-- Whether the cursor's next rows are its rows first to last, but for a few that a search may miss.
CREATE FUNCTION vt.fetched(cursor text, first int, last int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE c refcursor := cursor; got float8; at_least float8; at_most float8;
BEGIN
  FOR i IN first..last LOOP
    FETCH c INTO got;
    SELECT d INTO at_least FROM answer WHERE n = i;
    SELECT d INTO at_most FROM answer WHERE n = i + i / 10 + 5;
    IF got IS NULL OR got NOT BETWEEN at_least AND at_most THEN
      RAISE 'row %: % is not between % and %', i, got, at_least, at_most;
    END IF;
  END LOOP;
  RETURN true;
END $$;
BEGIN;
DECLARE c NO SCROLL CURSOR FOR SELECT v <-> vt.uniform(-1, 12) FROM cur ORDER BY v <-> vt.uniform(-1, 12);
SELECT vt.fetched('c', 1, 15);
-- Other searches, changes and vacuum-like pressure in between do not disturb it.
SELECT id FROM cur ORDER BY v <-> vt.uniform(55, 12) LIMIT 1;
INSERT INTO cur VALUES (9000, vt.uniform(-1, 12));
DELETE FROM cur WHERE id <= 1000;
SELECT vt.fetched('c', 16, 200);
SAVEPOINT s;
SELECT vt.fetched('c', 201, 300);
ROLLBACK TO s;
-- The rollback does not move a cursor back.
SELECT vt.fetched('c', 301, 350);
MOVE FORWARD 50 IN c;
SELECT vt.fetched('c', 401, 450);
FETCH BACKWARD 1 FROM c;
ROLLBACK;
-- A scan that cannot go back is stored when it has to: SCROLL works, WITH HOLD outlives its transaction.
BEGIN;
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT v <-> vt.uniform(-1, 12) FROM cur ORDER BY v <-> vt.uniform(-1, 12) LIMIT 30;
SELECT vt.fetched('c', 1, 10);
MOVE BACKWARD 6 FROM c;
SELECT vt.fetched('c', 5, 12);
COMMIT;
SELECT vt.fetched('c', 13, 30);
MOVE ABSOLUTE 0 IN c;
SELECT vt.fetched('c', 1, 3);
CLOSE c;
EXPLAIN (COSTS OFF) DECLARE c SCROLL CURSOR FOR SELECT id FROM cur ORDER BY v <-> vt.uniform(-1, 12) LIMIT 3;
-- Two cursors in step, and one whose transaction dies with it open.
BEGIN;
DECLARE a CURSOR FOR SELECT v <-> vt.uniform(-1, 12) FROM cur ORDER BY v <-> vt.uniform(-1, 12);
DECLARE b CURSOR FOR SELECT v <-> vt.uniform(-1, 12) FROM cur ORDER BY v <-> vt.uniform(-1, 12);
SELECT vt.fetched('a', 1, 5), vt.fetched('b', 1, 3), vt.fetched('a', 6, 60), vt.fetched('b', 4, 100);
SELECT 1 / 0;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT v <-> vt.uniform(-1, 12) FROM cur ORDER BY v <-> vt.uniform(-1, 12);
SAVEPOINT s;
DECLARE inner_one CURSOR FOR SELECT v <-> vt.uniform(-1, 12) FROM cur ORDER BY v <-> vt.uniform(-1, 12);
SELECT vt.fetched('inner_one', 1, 20);
SELECT 1 / 0;
ROLLBACK TO s;
SELECT vt.fetched('c', 1, 20);
COMMIT;
-- The table may not be changed under an open cursor; the index can be rebuilt once it is closed.
BEGIN;
DECLARE c CURSOR FOR SELECT v <-> vt.uniform(-1, 12) FROM cur ORDER BY v <-> vt.uniform(-1, 12);
SELECT vt.fetched('c', 1, 2);
REINDEX INDEX cur_v;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT v <-> vt.uniform(-1, 12) FROM cur ORDER BY v <-> vt.uniform(-1, 12);
SELECT vt.fetched('c', 1, 2);
CLOSE c;
REINDEX INDEX cur_v;
SELECT id FROM cur ORDER BY v <-> vt.uniform(55, 12) LIMIT 1;
ROLLBACK;

-- LATERAL: one scan, rescanned with each row's query.
EXPLAIN (COSTS OFF) SELECT q.i, n.id FROM generate_series(1, 3) q(i), LATERAL (
  SELECT id FROM cur ORDER BY v <-> vt.uniform(q.i * 10, 12) LIMIT 1) n;
SELECT count(*), count(*) FILTER (WHERE n.id = q.i) >= 98 FROM generate_series(1, 3100, 31) q(i), LATERAL (
  SELECT id FROM cur ORDER BY v <-> vt.uniform(q.i, 12) LIMIT 1) n;
-- With differing numbers of rows, NULL queries among them, and none at all.
SELECT q.i, count(n.id), count(DISTINCT n.id) FROM (VALUES (1, 1), (2, 0), (3, 700), (4, 2)) q(i, k), LATERAL (
  SELECT id FROM cur ORDER BY v <-> vt.uniform(q.i, 12) LIMIT q.k) n GROUP BY 1 ORDER BY 1;
SELECT q.i, count(n.id), count(n.d) FROM (VALUES (1, vt.uniform(1, 12)), (2, NULL), (3, vt.uniform(3, 12)), (4, NULL)) q(i, v), LATERAL (
  SELECT id, cur.v <-> q.v AS d FROM cur ORDER BY cur.v <-> q.v LIMIT 5) n GROUP BY 1 ORDER BY 1;
-- Correlated subqueries, nested searches of the same index, a self join.
SELECT count(*) FROM (
  SELECT a.id, (SELECT b.id FROM cur b WHERE b.id <> a.id ORDER BY b.v <-> a.v LIMIT 1) AS other
  FROM cur a WHERE a.id <= 50) s WHERE other IS NOT NULL AND other <> id;
SELECT count(*) FROM generate_series(1, 5) q(i),
  LATERAL (SELECT id, v FROM cur ORDER BY v <-> vt.uniform(q.i, 12) LIMIT 3) a,
  LATERAL (SELECT id, v FROM cur ORDER BY v <-> a.v LIMIT 3) b,
  LATERAL (SELECT id FROM cur ORDER BY v <-> b.v LIMIT 2) c;
-- A function that searches, called for each row of a search.
CREATE FUNCTION vt.nearest_other(q vector, me int) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE r int;
BEGIN
  SELECT id INTO r FROM cur WHERE id <> me ORDER BY v <-> q LIMIT 1;
  RETURN r;
END $$;
SELECT count(*), count(o), bool_and(o <> id) FROM (
  SELECT id, vt.nearest_other(v, id) AS o FROM cur ORDER BY v <-> vt.uniform(-1, 12) LIMIT 50) s;
-- A search that errors in between, in a subtransaction, leaves the others alone.
DO $$
DECLARE r record; n int := 0;
BEGIN
  FOR r IN SELECT id, v FROM cur ORDER BY v <-> vt.uniform(-1, 12) LIMIT 40 LOOP
    n := n + 1;
    BEGIN
      PERFORM id / (CASE WHEN id % 2 = 0 THEN 0 ELSE 1 END) FROM cur ORDER BY v <-> r.v LIMIT 20;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
  END LOOP;
  IF n <> 40 THEN RAISE '%', n; END IF;
END $$;
-- plpgsql loops over searches with COMMIT in between.
CREATE PROCEDURE vt.walk() LANGUAGE plpgsql AS $$
DECLARE r record; n int := 0;
BEGIN
  FOR r IN SELECT id FROM cur ORDER BY v <-> vt.uniform(-1, 12) LIMIT 100 LOOP
    n := n + 1;
    UPDATE cur SET v = vt.uniform(id + 50000, 12) WHERE id = r.id;
    COMMIT;
  END LOOP;
  IF n <> 100 THEN RAISE '%', n; END IF;
END $$;
CALL vt.walk();
SELECT pinned FROM vdb.stat_cache;
RESET enable_seqscan;
DROP TABLE cur, answer;
SET client_min_messages = warning;
DROP SCHEMA vt CASCADE;
