#!/usr/bin/env python3
"""The benchmark: measures what docs/performance.md shows, in one run on one machine.

run.py [--quick] [--million] [--docs] [--only PART]...

Build first (`make bench` does). The results go to build/bench/results.json and to the terminal.
  --quick     small sets and few repetitions: does the benchmark itself work?
  --million   also 1,000,000 x 384
  --docs      also writes the figures into docs/performance.md and the plots beside it
  --only      one of: peers build sql untuned insert vacuum cancel encryption stores (peers come along)
  --render    nothing is measured: writes the docs from the results of the last run
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import re
import sys

import datasets
import document
import huge_pages
import search
import server
import stores
import upkeep
from places import RESULTS
from report import Report

import pg  # of test/tools

SHARED_MEMORY = 4800  # MB, of the largest server
PARTS = ("peers", "build", "sql", "untuned", "insert", "vacuum", "cancel", "encryption", "stores")
SETS = ("wordnet", "glove", "mixture")
UNTUNED = (*SETS, "uniform", "shifted", "duplicates", "foreign")


@dataclasses.dataclass
class Effort:
    passes: int          # over all queries; the quickest counts
    rounds: int          # of runs that are compared
    seconds: int         # of a run of pgbench
    filter_queries: int
    cold: int            # searches in a cold server, at each latency of a store
    stream: int          # searches with a small cache
    peers: str           # of the programs in this process


FULL = Effort(
    passes=10, rounds=3, seconds=6, filter_queries=300, cold=100, stream=4000,
    peers="core,exact,hnswlib,faiss-hnsw,faiss-ivfpq",
)
QUICK = Effort(
    passes=3, rounds=1, seconds=2, filter_queries=50, cold=10, stream=2000,
    peers="core,exact,hnswlib,faiss-hnsw",
)


def machine():
    """One line about where this runs."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for text in info:
            if match := re.match(r"model name\s*:\s*(.*)", text):
                model = match.group(1)
                break
    load = os.getloadavg()[0]
    return (
        f"{datetime.date.today()}, {os.cpu_count()} x {model}, {platform.system()}, {pg.pg_config('version')}; "
        f"load before the run {load:.1f}"
    )


def measure(report, parts, quick, million):
    effort = QUICK if quick else FULL
    sets = {name: datasets.make(name, quick) for name in UNTUNED}
    if sets["glove"] is None:
        report.note("GloVe is left out: npm could not fetch it.")
    if quick:
        report.note("A quick run: small sets and few repetitions.")
    names = [name for name in SETS if sets[name] is not None]
    if "peers" in parts or "sql" in parts or "build" in parts:
        for name in names:
            search.peers(report, name, sets[name], effort, searches=set(parts) != {"build"})
    with server.Server() as running:
        for name in names:
            if "build" in parts:
                upkeep.build(report, running, name, sets[name])
            if "sql" in parts:
                search.through_sql(report, running, name, sets[name], effort)
        for name in UNTUNED if "untuned" in parts else ():
            if sets[name] is not None:
                search.untuned(report, running, name, sets[name], effort)
        large = "glove" if sets["glove"] else "mixture"
        if "insert" in parts:
            upkeep.insert(report, running, sets["wordnet"])
        if "vacuum" in parts:
            upkeep.vacuum(report, running, large, sets[large])
        if "cancel" in parts:
            upkeep.cancel(report, running, large, sets[large])
        if "encryption" in parts:
            upkeep.encryption(report, running, large, sets[large], effort)
    if "stores" in parts:
        stores.measure(report, sets, effort, quick, million)
    if million and set(parts) != {"stores"}:
        prefix = datasets.make("million", quick)
        with server.Server({"vdb.cache_size": "150MB"}) as running:
            upkeep.million(report, running, prefix)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART")
    arguments = parser.parse_args()
    pg.exit_on_sigterm()
    if not arguments.render:
        report = Report()
        report.note(machine())
        with huge_pages.reserved(SHARED_MEMORY) as huge:
            report.note(f"Shared memory is in {'huge' if huge else 'small'} pages.")
            measure(report, arguments.only or PARTS, arguments.quick, arguments.million)
        report.print()
    if arguments.docs or arguments.render:
        document.write(json.loads(RESULTS.read_text()))


if __name__ == "__main__":
    sys.exit(main())
