"""The server of the benchmark and what is done with it: tables, indexes, searches, memory."""

import array
import contextlib
import json
import os
import pathlib
import re
import subprocess
import threading
import time

from places import FLOOR, PROGRAMS, REPO
import npy_values
import pg

PGBENCH_QUERIES = 100  # scripts of one pgbench run, which takes at most 128

# Everything stays cached, and nothing is done in the background while something is measured.
SETTINGS = {
    "shared_buffers": "4GB",
    "vdb.cache_size": "256MB",
    "max_wal_size": "30GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "bgwriter_lru_maxpages": "0",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
BUILD_MEMORY = "512MB"


def build_floor():
    """Builds the access method of the floor. Returns the command that `install` is added to."""
    FLOOR.mkdir(parents=True, exist_ok=True)
    makefile = REPO / "test/bench/floor_am/Makefile"
    command = ["make", "--no-print-directory", "-s", "-C", str(FLOOR), "-f", str(makefile)]
    subprocess.run([*command, "all"], check=True)
    return command


class Server:
    """A cluster with both modules, and the client programs pointed at it."""

    def __init__(self, settings=None):
        self._settings = {**SETTINGS, **(settings or {})}

    def __enter__(self):
        self._installation = pg.Installation()
        self._installation.__enter__()
        try:
            install = [*build_floor(), f"DESTDIR={self._installation.root}", "install"]
            subprocess.run(install, check=True)
            self._cluster = pg.Cluster(self._installation, self._settings)
            self._cluster.__enter__()
        except BaseException:
            self._installation.__exit__(None, None, None)
            raise
        self.sql("create extension vdb_ext; create extension vdb_floor;")
        return self

    def __exit__(self, *exception):
        try:
            self._cluster.__exit__(*exception)
        finally:
            self._installation.__exit__(*exception)

    def sql(self, statements):
        return self._cluster.psql(statements).stdout

    def value(self, query):
        return self._cluster.query(query)[0][0]

    def row(self, query):
        """The first row as numbers."""
        return [float(value or "nan") for value in self._cluster.query(query)[0]]

    def client(self, *arguments):
        """sql_client's answer."""
        command = [str(part) for part in (PROGRAMS / "sql_client", *arguments)]
        done = subprocess.run(command, env=self._cluster.env, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def cold_client(self, table, prefix):
        """Gives a function that empties the caches and has one query searched for: its answer."""
        command = [str(part) for part in (PROGRAMS / "sql_client", "cold", table, prefix)]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, env=self._cluster.env, stdin=pipe, stdout=pipe, text=True
        ) as client:

            def search(query):
                self.restart()
                print(query, file=client.stdin, flush=True)
                line = client.stdout.readline()
                if not line:
                    raise RuntimeError("sql_client cold failed")
                return json.loads(line)

            try:
                yield search
            finally:
                client.stdin.close()

    def restart(self, **settings):
        """Empties the caches. settings: of vdb, that count from now on."""
        for name, value in settings.items():
            self.sql(f"alter system set vdb.{name} = '{value}'")
        self._cluster.restart()

    def directory(self, name):
        """A new directory of the server's user."""
        path = self._installation.work / name
        path.mkdir()
        self._installation.give(path)
        return path

    def timed(self, statement, *before):
        """Seconds that the server takes for one statement."""
        output = self.sql("\n".join([*before, "\\timing on", statement]))
        return float(re.findall(r"^Time: ([\d.]+) ms", output, re.M)[-1]) / 1000

    def load(self, table, prefix, storage="main"):
        dim = npy_values.shape(f"{prefix}-base.npy")[1]
        self.sql(
            f"drop table if exists {table}; "
            f"create table {table} (id int, bucket int, embedding vector({dim})); "
            f"alter table {table} alter embedding set storage {storage};"
            # However little of the table is inline, its index is built by as many as are allowed.
            f"alter table {table} set (parallel_workers = 8);"
        )
        self.client("load", table, prefix, "base")
        self.sql(f"vacuum analyze {table}; checkpoint;")

    def build(self, table, processes=2, memory=BUILD_MEMORY, options="", target=None):
        """Builds the index of table anew. Returns seconds."""
        before = [
            f"drop index if exists {table}_vdb;",
            f"set maintenance_work_mem = '{memory}';",
            f"set max_parallel_maintenance_workers = {processes - 1};",
        ]
        if target is not None:
            before.append(f"set vdb.recall_target = {target};")
        with_options = f" with ({options})" if options else ""
        return self.timed(
            f"create index {table}_vdb on {table} using vdb (embedding vector_l2_ops){with_options};",
            *before,
        )

    def floor(self, table):
        self.sql(f"create index {table}_floor on {table} using vdb_floor (embedding);")

    def index_bytes(self, table):
        return int(self.value(f"select pg_relation_size('{table}_vdb')"))

    def plan(self, table, query, condition):
        """The plan's nodes for a search with a filter."""
        sql = f"select id from {table} {condition} order by embedding <-> '{query}' limit 10"
        return self.sql(f"explain (costs off) {sql}")

    @contextlib.contextmanager
    def on_one_processor(self):
        """Sessions made meanwhile and their clients share a processor. One client and its session
        never work at the same time, but between two processors each query also costs two wake-ups,
        which on a virtual machine take as long as the query, and differ from minute to minute."""
        processes = (self._cluster.postmaster(), os.getpid())
        before = [os.sched_getaffinity(pid) for pid in processes]
        for pid in processes:
            os.sched_setaffinity(pid, {max(before[1])})
        try:
            yield
        finally:
            for pid, processors in zip(processes, before):
                os.sched_setaffinity(pid, processors)

    def pgbench(self, table, prefix, seconds):
        """The ten nearest by pgbench -M prepared, one client. Returns mean, p50, p99 in us."""
        work = self._installation.work / f"pgbench-{table}"
        work.mkdir(exist_ok=True)
        variables, scripts = [], []
        queries = npy_values.rows(f"{prefix}-queries.npy", PGBENCH_QUERIES)
        for number, query in enumerate(queries):
            script = work / f"{number}.sql"
            script.write_text(
                f"select id from {table} order by embedding <-> :q{number} limit 10;\n"
            )
            variables += ["-D", f"q{number}={npy_values.text(query)}"]
            scripts += ["-f", script]
        for old in work.glob("log*"):
            old.unlink()
        self._installation.give(work)
        command = ["pgbench", "-n", "-M", "prepared", "-c", "1", *variables, *scripts]
        command += ["-T", str(seconds), "--log", f"--log-prefix={work / 'log'}", "postgres"]
        self._installation.run(command, env=self._cluster.env, check=True, capture_output=True)
        times = array.array("d")
        for log in work.glob("log*"):
            for line in log.read_text().splitlines():
                times.append(float(line.split()[2]))
        # The first runs of each script are planned and fill caches.
        warm = sorted(times[min(len(times) // 2, 10 * len(scripts)) :])
        share = lambda part: warm[int(part * (len(warm) - 1))]
        return {"mean_us": sum(warm) / len(warm), "p50_us": share(0.5), "p99_us": share(0.99)}

    def memory_of_build(self, table, memory, processes):
        """Peak of the private memory of all processes of a build beyond an idle session's, in kB."""
        watch = MemoryWatch(self._cluster)
        idle = watch.idle_kb()
        watch.start()
        try:
            self.build(table, processes, memory)
        finally:
            peak = watch.stop()
        return peak - processes * idle


class MemoryWatch:
    """Sums the private memory (RssAnon) of the server's backends that are not idle, and keeps the
    highest sum."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._postmaster = cluster.postmaster()
        self._peak = 0
        self._ending = threading.Event()

    def _children(self):
        path = pathlib.Path(f"/proc/{self._postmaster}/task/{self._postmaster}/children")
        return path.read_text().split()

    @staticmethod
    def _private_kb(pid):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return 0  # has ended
        found = re.search(r"RssAnon:\s+(\d+)", status)
        return int(found.group(1)) if found else 0  # is ending

    def idle_kb(self):
        """Private memory of a session that has done next to nothing."""
        with subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-d", "postgres"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._cluster.env,
        ) as psql:
            psql.stdin.write("select pg_backend_pid();\n")
            psql.stdin.flush()
            own = self._private_kb(int(psql.stdout.readline()))
            psql.stdin.close()
        return own

    def start(self):
        before = set(self._children())

        def run():
            while not self._ending.wait(0.01):
                pids = set(self._children()) - before
                self._peak = max(self._peak, sum(map(self._private_kb, pids)))

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def stop(self):
        self._ending.set()
        self._thread.join()
        return self._peak
