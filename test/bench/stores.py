"""Indexes whose objects are in a store: what a cold search asks for and how long it takes, a cache
that is too small, warm searches and builds beside those of a local index.

The store is the tests' stand-in for an S5 portal, which runs in this process and adds a latency to
each request.
"""

import contextlib
import json
import subprocess
import tempfile
import time

import datasets
from places import BUILD, PROGRAMS
from search import ratio
from server import Server

from s5_portal import S5Portal  # of test/tools

LATENCIES_MS = (0, 20, 60)
CACHE = "150MB"
OWN_MS = 40                # of a cold search, besides the store's latency
BUILD_BANDWIDTH = 100e6    # bytes a second, each way: lines are full duplex
OPEN_LATENCY_MS = 60
SMALL_CACHE = 0.1          # of the index
EVICTION_PERCENTS = (5, 10, 20, 50)
TOKEN = "sesame"
CONNECTIONS = 64           # of a session, at most
# With the default the index finds more than .95, of queries that are none of its rows; these find
# that.
TARGETS = {"glove": 0.925}
SETTINGS = {"vdb.cache_size": CACHE, "vdb.allow_http": "on", "shared_buffers": "1GB"}


def measure(report, sets, effort, quick, million):
    names = [name for name in ("glove",) if sets[name] is not None]
    for name in names:
        with store() as (server, portal):
            standin(report, server, portal, name, sets[name])
            cold(report, server, portal, name, sets[name], effort)
            steady(report, server, name, sets[name], effort)
            warm(report, server, name, sets[name], effort)
            build(report, server, portal, name, sets[name], effort)
        eviction(report, name, sets[name], effort)
    with store() as (server, portal):
        opening(report, server, portal, datasets.make("mixture384", quick))
    if million:
        with store() as (server, portal):
            cold(report, server, portal, "1,000,000 x 384", datasets.make("million", quick), effort)
            build(report, server, portal, "1,000,000 x 384", datasets.make("million", quick), effort)


@contextlib.contextmanager
def store():
    """A server, and a portal that it knows as `remote`; `files` is a directory."""
    with (
        tempfile.TemporaryDirectory(dir=BUILD) as blobs,
        S5Portal(directory=blobs, tokens=[TOKEN]) as portal,
        Server(SETTINGS) as server,
    ):
        server.sql(
            f"create server remote foreign data wrapper vdb_store "
            f"options (type 's5', url '{portal.url}'); "
            f"create user mapping for current_user server remote options (auth_token '{TOKEN}'); "
            f"create server files foreign data wrapper vdb_store "
            f"options (type 'file', path '{server.directory('files')}');"
        )
        yield server, portal


def share(values, part):
    ordered = sorted(values)
    return ordered[int(part * (len(ordered) - 1))]


def standin(report, server, portal, name, prefix):
    """What the stand-in itself takes, seen by curl."""
    section = "The stand-in portal alone, nothing added"
    server.load("item", prefix)
    server.build("item", options="store = remote")
    blobs = portal.node.blobs
    largest = max((blobs.get(key) for key in blobs.hashes()), key=len)
    cid = portal.node.keep(bytes(largest[:])).text()

    def seconds(requests, connections):
        command = ["curl", "--silent", "--fail", "--noproxy", "*", "--output", "/dev/null"]
        command += ["--header", f"Authorization: Bearer {TOKEN}", "--range", "0-65535"]
        command += ["--parallel", "--parallel-max", str(connections)]
        start = time.monotonic()
        command.append(f"{portal.url}/{cid}?n=[1-{requests}]")
        subprocess.run(command, check=True, capture_output=True)
        return time.monotonic() - start

    for connections in (1, CONNECTIONS):
        few, many = (min(seconds(n, connections) for _ in range(3)) for n in (50, 550))
        what = f"a read of 64 kB, {connections} at a time"
        report.add(section, what, (many - few) / 500 * 1e3, "ms")


def cold(report, server, portal, name, prefix, effort):
    """Each search in a server that has just begun, in a session that has opened the index."""
    section = f"Cold search, remote store: {name}"
    server.load("item", prefix)
    found, query = [], 0
    times = {}
    for where in ("files", "remote"):
        server.build("item", options=f"store = {where}", target=TARGETS.get(name))
        with server.cold_client("item", prefix) as search:
            for latency_ms in LATENCIES_MS if where == "remote" else (0,):
                portal.set("latency_ms", latency_ms)
                some = [search(query + i) for i in range(effort.cold)]
                query += effort.cold
                times[where, latency_ms] = [one["ms"] for one in some]
                found += some if where == "remote" else []
    portal.set("latency_ms", 0)
    recall = sum(one["recall"] for one in found) / len(found)
    report.add(section, "searches", len(found))
    report.add(section, "recall@10", recall, at_least=0.95)
    rounds = [one["rounds"] for one in found]
    one_round = sum(r <= 1 for r in rounds) / len(rounds)
    report.add(section, "share of searches with one round of requests", one_round, at_least=0.8)
    report.add(section, "most rounds", max(rounds), at_most=2)
    requests = [one["requests"] for one in found]
    report.add(section, "requests, p50", share(requests, 0.5), at_most=60)
    report.add(section, "requests, p99", share(requests, 0.99))
    report.add(section, "requests, most", max(requests), at_most=60)
    megabytes = [one["bytes"] / 1e6 for one in found]
    report.add(section, "read, p50", share(megabytes, 0.5), "MB", at_most=5)
    report.add(section, "read, p99", share(megabytes, 0.99), "MB")
    report.add(section, "read, most", max(megabytes), "MB", at_most=5)
    for (where, latency_ms), some in times.items():
        label = "a directory" if where == "files" else f"portal, {latency_ms} ms added"
        limit = latency_ms + OWN_MS
        report.add(section, f"{label}: p50", share(some, 0.5), "ms", at_most=limit)
        report.add(section, f"{label}: p99", share(some, 0.99), "ms", at_most=2 * limit)


def steady(report, server, name, prefix, effort):
    """A Zipf stream of queries. A local index fetches what a search asks for and nothing else, so its
    hits are the cache's. A remote one fetches ahead: of as many frames as searches of the local one
    want, those count as hits that were not fetched, so what came along in vain counts as missed."""
    section = f"Steady state, a small cache: {name}"
    server.load("item", prefix)
    server.build("item", options="store = remote")
    stored = int(server.value("select sum(stored_bytes) from vdb.index_objects('item_vdb')"))
    server.build("item")
    codes = server.index_bytes("item")
    wanted = 0.0  # frames of a search
    for where in ("local", "remote"):
        if where == "remote":
            server.build("item", options="store = remote")
        for what, size in (("all that a store holds", stored), ("the codes", codes)):
            kilobytes = max(int(SMALL_CACHE * size / 1024), 1024)
            server.restart(cache_size=f"{kilobytes}kB")
            found = server.client("stream", "item", prefix, "--queries", effort.stream)
            label = f"{where}, 10 % of {what}, {kilobytes / 1024:.1f} MB"
            if where == "local":
                wanted = (found["hits"] + found["misses"]) / found["searches"]
            rate = (1 - found["misses"] / found["searches"] / wanted) * 100
            hits = "hits" if where == "local" else "hits, less what was fetched in vain"
            report.add(section, f"{label}: {hits}", rate, "%", at_least=70 if where == "local" else None)
            if where == "local":
                continue
            share_without = found["without_requests"] * 100
            report.add(section, f"{label}: searches without a request", share_without, "%")
            report.add(section, f"{label}: requests of a search, mean", found["requests"])
            report.add(section, f"{label}: read for a search, mean", found["bytes"] / 1e6, "MB")
    server.restart(cache_size=CACHE)


def eviction(report, name, prefix, effort):
    """The frames that the searches of a Zipf stream pin, through the cache's policy and LRU."""
    section = f"Eviction, recorded from searches: {name}"
    command = [PROGRAMS / "eviction_bench", prefix, "--searches", effort.stream]
    for percent in EVICTION_PERCENTS:
        command += ["--percent", percent]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    for replay in json.loads(done.stdout)["replays"]:
        label = f"cache of {replay['percent']:g} %"
        report.add(section, f"{label}: hits", replay["hit_rate"] * 100, "%")
        report.add(section, f"{label}: hits of LRU", replay["lru_hit_rate"] * 100, "%")
        misses = ratio(replay["misses"], replay["lru_misses"])
        report.add(section, f"{label}: misses against LRU's", misses, "x", at_most=1)


def warm(report, server, name, prefix, effort):
    """By turns, each round with indexes built anew: no two have the same lists."""
    section = f"Warm search, remote against local: {name}"
    times = {"local": [], "remote": []}
    for where in times:
        server.load(where, prefix)
    for _ in range(effort.rounds):
        for where in times:
            server.build(where, options=f"store = {where}")
        for _ in range(2):
            for where, quickest in times.items():
                found = server.client("search", where, prefix, "--passes", effort.passes)
                quickest.append(found["quickest_us"])
    for where, quickest in times.items():
        report.add(section, f"{where}: mean of each query's quickest", min(quickest), "us")
    what = "remote against local"
    report.add(section, what, ratio(min(times["remote"]), min(times["local"])), "x", at_most=1.05)
    server.sql("drop table local, remote")


def build(report, server, portal, name, prefix, effort):
    """On one process, so that the stand-in has a processor for itself. Everything is read back, but
    the line is as long as what is sent: the other direction has a bandwidth of its own, as a network
    has it. Rows are known to be all of a list only when the table has been read, so that nothing is
    sent before: what can be done beside sending is to encode rows and to write chunks."""
    section = (
        f"Build, remote against local: {name}, one process, {BUILD_BANDWIDTH / 1e6:.0f} MB/s each way"
    )
    server.load("item", prefix)
    local, remote = [], {latency_ms: [] for latency_ms in LATENCIES_MS}
    portal.set("bandwidth", BUILD_BANDWIDTH)
    for _ in range(effort.rounds):
        local.append(server.build("item", processes=1))
        for latency_ms, seconds in remote.items():
            portal.set("latency_ms", latency_ms)
            portal.recorder.clear()
            seconds.append(server.build("item", processes=1, options="store = remote"))
    moved = portal.recorder.summary()
    portal.set("latency_ms", 0)
    portal.set("bandwidth", None)
    line = moved["request_bytes"] / BUILD_BANDWIDTH
    report.add(section, "local", min(local), "s")
    report.add(section, "sent", moved["request_bytes"] / 1e6, "MB")
    report.add(section, "read back", moved["response_bytes"] / 1e6, "MB")
    report.add(section, "what the line takes for it", line, "s")
    for latency_ms, seconds in remote.items():
        report.add(section, f"remote, {latency_ms} ms added", min(seconds), "s")
        what = f"{latency_ms} ms added: against the longer of local and line"
        report.add(section, what, ratio(min(seconds), max(min(local), line)), "x", at_most=1.3)


def opening(report, server, portal, prefix):
    """The first search of a server, which opens the index."""
    section = f"100,000 x 384 (in a quick run: fewer), {OPEN_LATENCY_MS} ms added"
    server.load("item", prefix)
    server.build("item", options="store = remote")
    server.restart()
    portal.set("latency_ms", OPEN_LATENCY_MS)
    first = server.client("first", "item", prefix)
    report.add(section, "new server: open and first answer", first["first_ms"] / 1000, "s", at_most=5)
    report.add(section, "the second answer", first["second_ms"] / 1000, "s")
    shared = server.row(
        "select sum(allocated_size) from pg_shmem_allocations where name like 'vdb%'"
    )[0]
    private = first["private_kb"] / 1024
    report.add(section, "shared memory: cache with centroids", shared / 2**20, "MB")
    report.add(section, "private memory of the searching backend", private, "MB")
    report.add(section, "both", shared / 2**20 + private, "MB", at_most=200)
