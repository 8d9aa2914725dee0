"""Searching: the core beside its peers in one process, then the same through SQL, then recall
where nothing is tuned."""

import contextlib
import json
import math
import os
import subprocess

import huge_pages
from places import PROGRAMS
from report import time_at

RECALLS = (0.95, 0.98)
HNSWLIB_TIMES = 2.5  # in process, both real sets
FLOOR_TIMES = 1.3
REAL = ("wordnet", "glove")
# Through SQL against Faiss HNSW in process.
FAISS_TIMES = {("wordnet", 0.95): 3, ("wordnet", 0.98): 4, ("mixture", 0.95): 3}
FAISS_TIMES |= {("mixture", 0.98): 4, ("glove", 0.95): 10, ("glove", 0.98): 10}
RECALL_TARGETS = (0.9, 0.98)  # besides the default, to have a curve
FILTERS = {1: "10 %", 2: "1 %", 3: "0.1 %"}
# What keeps the planner from a plan.
FORBID = {"index": ["enable_indexscan"], "sequential scan": ["enable_seqscan", "enable_sort"]}
PLANNER_TIMES = 1.5  # near the point where both cost the same, either will do
FILTER_CONDITIONS = {1: "where bucket < 100", 2: "where bucket < 10", 3: "where bucket < 1"}


def ratio(a, b):
    return a / b if b else math.nan


def run_peers(prefix, *options):
    """What the program says of each peer."""
    command = [PROGRAMS / "peers", prefix, *options]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, text=True,
        env={**os.environ, **huge_pages.MALLOC},
    ) as process:
        try:
            found = [json.loads(text) for text in process.stdout]
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise RuntimeError("peers failed")
    return found


def peers(report, name, prefix, effort, searches=True):
    """Each index of this process over its settings; without searches only how long it is built."""
    section = f"In one process, one thread: {name}"
    options = ["--passes", effort.passes, "--peers", effort.peers]
    if not searches:
        options += ["--queries", 1]
    found = run_peers(prefix, *options)
    curves = {peer["peer"]: peer for peer in found}
    report.curves[name] = curves
    for recall in RECALLS if searches else ():
        for peer in curves.values():
            if peer["peer"] != "exact":
                us = time_at(peer["points"], recall)
                report.add(section, f"{peer['peer']} at recall {recall}", us, "us")
        times = ratio(
            time_at(curves["hnswlib"]["points"], recall), time_at(curves["core"]["points"], recall)
        )
        least = HNSWLIB_TIMES if name in REAL else None
        what = f"core against hnswlib at recall {recall}, queries per second"
        report.add(section, what, times, "x", at_least=least)
    if searches:
        report.add(section, "exact", curves["exact"]["points"][0]["us"], "us")
    for peer in curves.values():
        if peer["peer"] != "exact":
            what = f"{peer['peer']}: build, {peer['build_threads']} threads"
            report.add(section, what, peer["build_s"], "s")


def through_sql(report, server, name, prefix, effort):
    """Latency of the default index beside the floor's, and the curve over recall targets; with
    client and session wherever the system puts them, and on one processor."""
    for storage in ("main", "extended") if name != "glove" else ("main",):
        server.load("item", prefix, storage)
        server.load("floor", prefix, storage)
        server.floor("floor")
        placements = {"": contextlib.nullcontext, ", on one processor": server.on_one_processor}
        points = {placement: [] for placement in placements}
        where = "inline" if storage == "main" else "in default storage"
        section = f"Through SQL: {name}, vectors {where}"
        for target in (None, *RECALL_TARGETS):
            server.build("item", target=target)
            for placement, placed in placements.items():
                with placed():
                    point = sql_point(report, server, section + placement, prefix, effort,
                                      with_floor=target is None)
                points[placement].append(point)
        for placement in placements:
            against_faiss(report, name, storage, section + placement, points[placement])
        curve = points[", on one processor"]
        report.curves[name][f"vdb through SQL, {storage}"] = {"points": curve}


def sql_point(report, server, section, prefix, effort, with_floor):
    """Recall and latency of the index as it is; with_floor: reported beside the floor's."""
    # By turns, so that all see the same machine: its speed changes from minute to minute.
    rounds = [
        (server.pgbench("item", prefix, effort.seconds),
         server.pgbench("floor", prefix, effort.seconds) if with_floor else None,
         run_peers(prefix, "--peers", "core", "--passes", effort.passes)[0]["points"]
         if with_floor else None)
        for _ in range(effort.rounds)
    ]
    ours = min((r[0] for r in rounds), key=lambda times: times["mean_us"])
    client = server.client("search", "item", prefix, "--passes", effort.passes)
    if with_floor:
        floor = min((r[1] for r in rounds), key=lambda times: times["mean_us"])
        in_process = min(time_at(r[2], client["recall"], nearest=True) for r in rounds)
        default_figures(report, section, in_process, ours, floor, client)
        client_floor = server.client("search", "floor", prefix, "--passes", effort.passes)
        what = "client in C, binary parameter: mean of each query's quickest"
        report.add(section, what, client["quickest_us"], "us")
        report.add(section, "the same of the floor", client_floor["quickest_us"], "us")
    return {"recall": client["recall"], "us": ours["mean_us"]}


def against_faiss(report, name, storage, section, points):
    faiss = report.curves[name]["faiss-hnsw"]["points"]
    for recall in RECALLS:
        times = ratio(time_at(faiss, recall), time_at(points, recall))
        what = f"against Faiss HNSW in process at recall {recall}, queries per second"
        least = FAISS_TIMES[name, recall] if storage == "main" else None
        report.add(section, what, times, "x", at_least=least)


def default_figures(report, section, in_process, ours, floor, client):
    allowed = in_process + FLOOR_TIMES * floor["mean_us"]
    report.add(section, "recall@10, nothing tuned", client["recall"], at_least=0.95)
    report.add(section, "pgbench: floor, mean", floor["mean_us"], "us")
    report.add(section, "in process at the same recall", in_process, "us")
    what = f"pgbench: mean, at most in process + {FLOOR_TIMES} x floor"
    report.add(section, what, ours["mean_us"], "us", at_most=allowed)
    report.add(section, "pgbench: p50", ours["p50_us"], "us")
    report.add(section, "pgbench: p99", ours["p99_us"], "us")
    report.add(section, "private memory of the searching backend", client["private_kb"] / 1024,
               "MB", at_most=16)


def untuned(report, server, name, prefix, effort):
    """Recall of the default index, also where a filter keeps little."""
    section = f"Nothing tuned: {name}"
    server.load("item", prefix)
    server.build("item")
    found = server.client("search", "item", prefix, "--passes", 2, "--queries", 1000)
    report.add(section, "recall@10", found["recall"], at_least=0.95)
    report.add(section, "recall@10, 5th percentile of the queries", found["recall_p5"])
    report.add(section, "p50", found["p50_us"], "us")
    query = server.value("select embedding from item limit 1")
    for number, share in FILTERS.items():
        indexed = "Index Scan" in server.plan("item", query, FILTER_CONDITIONS[number])
        taken, other = ("index", "sequential scan") if indexed else ("sequential scan", "index")
        common = ["--filter", number, "--passes", 1, "--queries", effort.filter_queries]
        found = server.client("search", "item", prefix, *common)
        filter_figures(report, section, f"{share} kept, planner takes {taken}", found)
        forced = [part for off in FORBID[taken] for part in ("--set", f"set {off} = off")]
        instead = server.client("search", "item", prefix, *common, *forced)
        filter_figures(report, section, f"{share} kept, {other} forced", instead)
        times = ratio(found["mean_us"], instead["mean_us"])
        what = f"{share} kept: time of the planner's choice against the other plan"
        report.add(section, what, times, "x", at_most=PLANNER_TIMES)


def filter_figures(report, section, what, found):
    report.add(section, f"{what}: recall@10", found["recall"], at_least=0.95)
    report.add(section, f"{what}: 5th percentile", found["recall_p5"])
    report.add(section, f"{what}: LIMIT not filled", found["unfilled"], at_most=0)
    report.add(section, f"{what}: p50", found["p50_us"], "us")
