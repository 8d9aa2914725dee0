#!/usr/bin/env python3
"""The demo: loads 20,000 sentence embeddings into a throw-away server, indexes them, asks, measures.

Build first (`make all`); `make demo` does both. Everything is removed at the end.
"""

import subprocess
import sys
import time

import npy_copy
import pg

DATA = pg.REPO / "test/data"

TABLES = """
create extension vdb_ext;
create table gloss (id int primary key, gloss text, embedding vector(512));
alter table gloss alter embedding set storage main;
create table question (id int primary key, question text, embedding vector(512));
create table held_out (id int primary key, embedding vector(512));
"""

ANSWERS = """
select q.question, n.distance, n.gloss
from question q cross join lateral (
  select g.gloss, g.embedding <=> q.embedding as distance
  from gloss g order by g.embedding <=> q.embedding limit 5) n
order by q.id, n.distance
"""

PLAN = """
explain (analyze, costs off, timing off, summary off)
select gloss from gloss
order by embedding <=> (select embedding from question where id = 0) limit 5;
"""

# A neighbour counts when it is no farther than the exact tenth, so that ties do not matter.
RECALL = """
create function nearest(query vector) returns setof float8 language sql as
  'select embedding <=> query from gloss order by embedding <=> query limit 10';
set enable_indexscan = off;
create temp table exact as
  select h.id, max(d) as tenth from held_out h, lateral nearest(h.embedding) d group by h.id;
reset enable_indexscan;
create temp table found as
  select h.id, d as distance from held_out h, lateral nearest(h.embedding) d;
with per_query as (
  select e.id, count(f.id) filter (where f.distance <= e.tenth) / 10.0 as recall
  from exact e left join found f using (id) group by e.id)
select round(avg(recall), 4) as "recall@10",
  round((percentile_cont(0.05) within group (order by recall))::numeric, 2) as "5th percentile",
  count(*) as queries
from per_query;
"""

# Inside one session, with a prepared statement, so that what is timed is the query alone.
LATENCY = """
create function latency(n int) returns table (ms float8) language plpgsql as $$
declare q vector; start timestamptz;
begin
  for q in select embedding from held_out order by id limit n loop
    start := clock_timestamp();
    perform id from gloss order by embedding <=> q limit 10;
    ms := extract(epoch from clock_timestamp() - start) * 1000;
    return next;
  end loop;
end $$;
set enable_indexscan = off;
create temp table exact as select * from latency(100);
reset enable_indexscan;
discard plans;
create temp table warm_up as select * from latency(100);
create temp table indexed as select * from latency(500);
select scan, count(*) as queries,
  round((percentile_cont(0.5) within group (order by ms))::numeric, 3) as "p50 ms",
  round((percentile_cont(0.99) within group (order by ms))::numeric, 3) as "p99 ms"
from (select 'index' as scan, ms from indexed union all select 'exact', ms from exact) t
group by scan order by scan desc;
"""

SIZES = """
select pg_size_pretty(pg_table_size('gloss')) as "table",
  pg_size_pretty(pg_relation_size('gloss_embedding_idx')) as index,
  round(pg_relation_size('gloss_embedding_idx') / 20000.0) as "index bytes a row",
  current_setting('vdb.cache_size') as "cache limit";
"""

OBJECTS = """
select number, kind, left(id, 16) || '...' as id, stored_bytes, frames, lists, rows, encrypted,
  encode(substr(head, 1, 8), 'hex') as "first bytes"
from vdb.index_objects('gloss_embedding_idx') order by number;
"""

PROGRESS = """
select phase, blocks_done, blocks_total, tuples_done, tuples_total
from pg_stat_progress_create_index;
"""


def say(title):
    print(f"\n-- {title}", flush=True)


def show(cluster, sql, *options):
    """Runs sql in one session and prints what psql prints."""
    command = ["psql", "-X", "-q", "-d", "postgres", "-v", "ON_ERROR_STOP=1", *options]
    subprocess.run(command, input=sql, env=cluster.env, text=True, check=True)


def load(cluster, table, *files):
    command = ["psql", "-X", "-q", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
    command += ["-c", f"copy {table} from stdin (format binary)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=cluster.env) as psql:
        for part in npy_copy.copy_rows(*files):
            psql.stdin.write(part)
        psql.stdin.close()
        if psql.wait() != 0:
            raise RuntimeError(f"loading {table} failed")


def build_index(cluster):
    """Creates the index and prints its progress as another session sees it."""
    statement = "create index on gloss using vdb (embedding vector_cosine_ops)"
    command = ["psql", "-X", "-q", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", statement]
    print(statement + ";", flush=True)
    start = time.monotonic()
    last = None
    with subprocess.Popen(command, env=cluster.env) as build:
        while build.poll() is None:
            for phase, *counts in cluster.query(PROGRESS):
                blocks_done, blocks_total, tuples_done, tuples_total = counts
                line = f"   {phase}"
                if int(tuples_total or 0) > 0:
                    line += f": {tuples_done} of {tuples_total} rows"
                elif int(blocks_total or 0) > 0:
                    line += f": {blocks_done} of {blocks_total} blocks"
                if line != last:
                    print(line, flush=True)
                    last = line
            time.sleep(0.05)
    if build.returncode != 0:
        raise RuntimeError("creating the index failed")
    print(f"   done in {time.monotonic() - start:.1f} s")


def answer(cluster):
    asked = None
    for question, distance, gloss in cluster.query(ANSWERS):
        if question != asked:
            print(f"\n{question}")
            asked = question
        print(f"   {float(distance):.3f}  {gloss[:110]}")


def main():
    pg.exit_on_sigterm()
    with pg.Installation() as installation:
        say("a throw-away PostgreSQL server, unix socket only, shared_preload_libraries = vdb_ext")
        settings = {"shared_buffers": "256MB"}
        with pg.Cluster(installation, settings) as cluster:
            say("20,000 glosses of WordNet with their embeddings, 512 dimensions")
            show(cluster, TABLES)
            load(cluster, "gloss", DATA / "wordnet-use512-20k.npy", DATA / "wordnet-20k.tsv")
            load(cluster, "question", DATA / "demo-queries-use512.npy", DATA / "demo-queries.tsv")
            load(cluster, "held_out", DATA / "wordnet-use512-queries.npy")
            show(cluster, "vacuum analyze;")
            say("the index")
            build_index(cluster)
            say("16 questions, the five nearest glosses each, with their cosine distances")
            answer(cluster)
            say("the plan of such a question")
            show(cluster, PLAN)
            say("against exact search, 500 glosses that are not in the table")
            show(cluster, RECALL)
            say("time for the ten nearest, one session, prepared statement")
            show(cluster, LATENCY)
            say("sizes")
            show(cluster, SIZES)
            say("the index from inside (vdb.stat_index)")
            show(cluster, "select * from vdb.stat_index", "-x")
            say("the objects it is made of, and how the stored bytes of each begin")
            print("   unencrypted, each would begin with d9d9f7, CBOR's mark")
            show(cluster, OBJECTS)
            say("every frame authenticated, every row looked up in the table (vdb.check)")
            show(cluster, "select * from vdb.check('gloss_embedding_idx', true)")
            say("the cache of decrypted frames (vdb.stat_cache)")
            show(cluster, "select * from vdb.stat_cache", "-x")
    print("\nThe server is stopped and its files are removed.")


if __name__ == "__main__":
    sys.exit(main())
