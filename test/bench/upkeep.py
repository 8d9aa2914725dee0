"""What an index costs besides its searches: build, memory, size, insert, WAL, VACUUM, cancels,
encryption; and the large set with a small cache."""

from search import ratio

DEFAULT_MEMORY_MB = 64  # PostgreSQL's default of maintenance_work_mem
CODE_BITS = 5           # the index's default
INSERT_ROWS = 20_000


def build(report, server, name, prefix):
    """On one process and on two, beside the peers' builds on two threads."""
    section = f"Build: {name}"
    server.load("item", prefix)
    one = server.build("item", processes=1)
    two = server.build("item", processes=2)
    report.add(section, "one process", one, "s")
    report.add(section, "two processes", two, "s")
    if name in report.curves:
        faiss = report.curves[name]["faiss-hnsw"]["build_s"]
        hnswlib = report.curves[name]["hnswlib"]["build_s"]
        real = name == "glove"
        what = "two processes against Faiss HNSW on two threads"
        report.add(section, what, ratio(faiss, two), "x", at_least=8 if real else None)
        what = "two processes against hnswlib on two threads"
        report.add(section, what, ratio(hnswlib, two), "x", at_least=3 if real else None)
    for processes in (1, 2):
        peak = server.memory_of_build("item", f"{DEFAULT_MEMORY_MB}MB", processes) / 1024
        what = f"private memory, maintenance_work_mem {DEFAULT_MEMORY_MB} MB, {processes} processes"
        report.add(section, what, peak, "MB", at_most=1.1 * DEFAULT_MEMORY_MB)
    sizes(report, server, section)
    return two


def sizes(report, server, section):
    dim, rows, first, tids, size = server.row(
        "select dimensions, rows, first_code_bytes, tid_bytes, pg_relation_size('item_vdb') "
        "from vdb.index_stats('item_vdb')"
    )
    limit = 1.05 * (dim * CODE_BITS / 8 + 40)
    report.add(section, "index size a vector", size / rows, "B", at_most=limit)
    what = "resident for the first pass, a vector"
    report.add(section, what, (first + tids) / rows, "B", at_most=dim / 8 + 20)


def insert(report, server, prefix):
    """One session, one statement a row, into a table with 20,000 rows and one index."""
    section = "Insert: 512 dimensions, one session, prepared statement, one transaction"
    rates, wal = {}, {}
    indexes = {
        "no index": "",
        "btree on id": "create index on item (id);",
        "vdb": "create index item_vdb on item using vdb (embedding vector_l2_ops);",
    }
    for what, statement in indexes.items():
        server.load("item", prefix)
        server.sql(statement + "checkpoint;")
        # Once to have every page's full image behind us, once to measure.
        server.client("insert", "item", prefix, INSERT_ROWS // 10)
        before = server.value("select pg_current_wal_insert_lsn()")
        rates[what] = server.client("insert", "item", prefix, INSERT_ROWS)["rows_per_s"]
        wal[what] = float(server.value(f"select pg_current_wal_insert_lsn() - '{before}'"))
        least = 10_000 if what == "vdb" else None
        report.add(section, what, rates[what], "rows/s", at_least=least)
    report.add(section, "vdb against btree", ratio(rates["vdb"], rates["btree on id"]), "x")
    # A fresh row's code: one bit a dimension and its factors.
    dim = server.row("select dimensions from vdb.index_stats('item_vdb')")[0]
    per_row = (wal["vdb"] - wal["no index"]) / INSERT_ROWS
    report.add(section, "WAL of the index a row", per_row, "B", at_most=dim / 8 + 8 + 100)
    per_row = (wal["btree on id"] - wal["no index"]) / INSERT_ROWS
    report.add(section, "WAL of the btree a row", per_row, "B")


def vacuum(report, server, name, prefix):
    section = f"VACUUM after deleting 10 %: {name}"
    server.load("item", prefix)
    seconds = server.build("item", processes=2)
    server.sql("delete from item where bucket < 100; checkpoint;")
    taken = server.timed("vacuum item;")
    report.add(section, "build, two processes", seconds, "s")
    report.add(section, "VACUUM, heap and index", taken, "s")
    share = ratio(taken, seconds) * 100
    report.add(section, "share of the build", share, "%", at_most=5)
    server.load("item", prefix)
    server.sql("delete from item where bucket < 100; checkpoint;")
    report.add(section, "VACUUM of the same table without the index",
               server.timed("vacuum item;"), "s")


def cancel(report, server, name, prefix):
    """How long statements go on after a cancel from another session, the largest of many."""
    section = f"Cancel: {name}"
    server.load("item", prefix)
    server.build("item")
    for what, times, limit in (("search", 50, 100), ("build", 10, 1000)):
        found = server.client("cancel", "item", prefix, what, "--passes", times)
        whole = f"{what}: largest of {found['cancelled']}"
        report.add(section, whole, found["largest_ms"], "ms", at_most=limit)
        report.add(section, f"{what}: p50", found["p50_ms"], "ms")


def encryption(report, server, name, prefix, effort):
    """By turns, so that both see the same machine; the quickest of each counts."""
    section = f"Encryption: {name}"
    builds = {"on": [], "off": []}
    searches = {"on": [], "off": []}
    server.load("item", prefix)
    for _ in range(effort.rounds):
        for state in builds:
            builds[state].append(server.build("item", 2, options=f"encrypt_at_rest = {state}"))
            with server.on_one_processor():
                found = server.client("search", "item", prefix, "--passes", effort.passes)
            searches[state].append(found["quickest_us"])
    for state in builds:
        report.add(section, f"search, encryption {state}", min(searches[state]), "us")
        report.add(section, f"build, encryption {state}", min(builds[state]), "s")
    what = "search, on against off"
    report.add(section, what, ratio(min(searches["on"]), min(searches["off"])), "x", at_most=1.05)
    what = "build, on against off"
    report.add(section, what, ratio(min(builds["on"]), min(builds["off"])), "x", at_most=1.1)


def million(report, server, prefix):
    """The server was started with a cache of 150 MB, and a build bypasses it: it is cold."""
    section = "1,000,000 x 384 (in a quick run: fewer), cache of 150 MB"
    server.load("item", prefix)
    report.add(section, "build, two processes", server.build("item"), "s", at_most=120)
    sizes(report, server, section)
    cold = server.client("first", "item", prefix)
    report.add(section, "new session, cold cache: open and first answer", cold["first_ms"], "ms")
    opening = "of it, opening the index and ranking its lists"
    report.add(section, opening, cold["opening_ms"], "ms")
    report.add(section, "of it, fetching what was not in the cache", cold["fetching_ms"], "ms")
    report.add(section, "of it, the search as a whole", cold["searching_ms"], "ms")
    report.add(section, "the second answer", cold["second_ms"], "ms")
    found = server.client("search", "item", prefix, "--passes", 4)
    report.add(section, "recall@10", found["recall"], at_least=0.95)
    report.add(section, "warm p50", found["p50_us"] / 1000, "ms", at_most=1)
    report.add(section, "warm p99", found["p99_us"] / 1000, "ms")
    report.add(section, "private memory of the searching backend",
               found["private_kb"] / 1024, "MB", at_most=16)
    warm = server.client("first", "item", prefix)
    report.add(section, "new session, warm cache: open and first answer", warm["first_ms"], "ms")
    report.add(section, opening, warm["opening_ms"], "ms")
    used, capacity = server.row("select used, capacity from vdb.stat_cache")
    report.add(section, "cache: capacity", capacity / 2**20, "MB", at_most=150)
    report.add(section, "cache: used", used / 2**20, "MB", at_most=150)
