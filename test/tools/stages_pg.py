"""The stages of check.py that need a server. Each returns (passed, failed)."""

import collections
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys

import stages_core
import stages_store
from pg import REPO, Cluster, Installation, pg_config
from stages_core import add, files, in_parallel


# When a test program counts as hanging. The slowest takes a tenth of it.
LIMIT_S = 900


def pgxs(part):
    """A part of PostgreSQL's own test tools, as postgresql-server-dev installs them."""
    return pathlib.Path(pg_config("pkglibdir")) / "pgxs/src/test" / part


def require_module():
    """Tests of a module that was not built have failed, not been skipped."""
    if not (REPO / "build/module/vdb_ext.so").exists():
        raise RuntimeError("the module was not built")


def report_crashes(cluster):
    """A failure when a backend died, whatever the tests say."""
    lines = cluster.crashes()
    if lines:
        print("the server's log:", *lines[:20], sep="\n")
    return (0, 1) if lines else (0, 0)


def drive_pg_regress(installation, program, options, inputdir, tests):
    """Runs pg_regress or pg_isolation_regress over tests; counts its lines. Without autovacuum, which
    would change what tests show of dead rows and statistics, and now and then take their locks."""
    settings = {"autovacuum": "off"}
    outputdir = installation.work / "out"
    outputdir.mkdir(exist_ok=True)
    installation.give(outputdir)
    with Cluster(installation, settings) as cluster:
        host = ["--host", cluster.env["PGHOST"], "--port", cluster.env["PGPORT"]]
        command = [program, *host, "--user=postgres", f"--bindir={installation.bindir}"]
        command += [f"--inputdir={inputdir}", f"--outputdir={outputdir}", *options, *tests]
        result = installation.run(
            command, env=cluster.env, capture_output=True, text=True, cwd=outputdir, timeout=LIMIT_S
        )
        crashed = report_crashes(cluster)
    passed = len(re.findall(r"^(?:test )?\S+\s+\.\.\. ok", result.stdout, re.M))
    failed = len(tests) - passed
    if failed or result.returncode != 0:
        print(result.stdout, result.stderr)
        diffs = outputdir / "regression.diffs"
        if diffs.exists():
            print(diffs.read_text(errors="replace")[:20000])
        failed = max(failed, 1)
    return add((passed, failed), crashed)


def regress(module="release"):
    """sql/*.sql against expected/*.out. The extension exists in the database."""
    tests = [pathlib.Path(f).stem for f in files("sql/*.sql")]
    if not tests:
        return 0, 0
    require_module()
    with Installation(module) as installation:
        top = installation.stage("sql", "expected", "test/data")
        options = ["--load-extension=vdb_ext", "--dbname=regress"]
        program = pgxs("regress/pg_regress")
        return drive_pg_regress(installation, program, options, top, tests)


def isolation(module="release"):
    """test/isolation/specs/*.spec against test/isolation/expected/*.out."""
    tests = [pathlib.Path(f).stem for f in files("test/isolation/specs/*.spec")]
    if not tests:
        return 0, 0
    require_module()
    with Installation(module) as installation:
        top = installation.stage("test/isolation")
        options = ["--load-extension=vdb_ext", "--dbname=isolation"]
        program = pgxs("isolation/pg_isolation_regress")
        return drive_pg_regress(installation, program, options, top / "test/isolation", tests)


def count_tap(name, output, returncode):
    """(passed, failed) of one TAP stream, from its top-level lines. What is skipped is said, and is
    neither."""
    passed = failed = 0
    skipped = collections.Counter()
    planned = None
    for line in output.splitlines():
        if re.match(r"not ok\b", line):
            failed += 1
        elif match := re.match(r"ok\b.*# skip (.*)", line, re.IGNORECASE):
            skipped[match.group(1)] += 1
        elif re.match(r"ok\b", line):
            passed += 1
        elif match := re.match(r"1\.\.(\d+)", line):
            planned = int(match.group(1))
    for reason, count in skipped.items():
        print(f"   {name}: {count} skipped: {reason}", flush=True)
    ran = passed + failed + skipped.total()
    if planned != ran or (returncode != 0 and failed == 0):
        print(f"{name}: {ran} tests ran of {planned}, exit status {returncode}")
        failed += 1
    return passed, failed


def pgtap(module="release"):
    """test/pgtap/*.sql, each in a database of its own with the extension and pgTAP."""
    tests = files("test/pgtap/*.sql")
    if not tests:
        return 0, 0
    require_module()
    counts = []
    with Installation(module) as installation:
        top = installation.stage("test/pgtap", "test/data")
        with Cluster(installation) as cluster:
            cluster.psql("create database tap_template")
            cluster.psql("create extension vdb_ext; create extension pgtap", "tap_template")
            for number, test in enumerate(tests):
                database = f"tap_{number}"
                cluster.psql(f"create database {database} template tap_template")
                command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
                command += ["-d", database, "-f", top / test]
                result = installation.run(
                    command, env=cluster.env, capture_output=True, text=True, cwd=top, timeout=LIMIT_S
                )
                counts.append(count_tap(test, result.stdout, result.returncode))
                if counts[-1][1]:
                    print(f"{test}:\n{result.stdout}{result.stderr}")
            counts.append(report_crashes(cluster))
    return add(*counts)


def run_perl(installation, command, env, home):
    """(status, stdout, stderr). At the limit the test gets SIGTERM, upon which it stops its servers."""
    pipe = subprocess.PIPE
    test = installation.start(command, env=env, cwd=home, stdout=pipe, stderr=pipe, text=True)
    try:
        output, errors = test.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        test.terminate()
        output, errors = test.communicate(timeout=60)
    return test.returncode, output, errors


def stop_servers(home):
    """Ends the servers that a test left running below its directory."""
    for path in home.rglob("postmaster.pid"):
        pid = int(path.read_text().split()[0])
        try:
            if os.readlink(f"/proc/{pid}/cwd") == str(path.parent):
                print(f"{path.parent}: left running")
                os.kill(pid, signal.SIGQUIT)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended


def tap():
    """test/tap/*.pl with PostgreSQL::Test, one a core; each makes its own clusters."""
    tests = files("test/tap/*.pl")
    if not tests:
        return 0, 0
    require_module()
    with Installation() as installation:
        stages_store.prepare()
        parts = ("test/tap", "test/data", "test/tools", "test/store", "src")
        top = installation.stage(*parts, *stages_store.PREPARED)

        def run_one(test):
            home = installation.work / pathlib.Path(test).stem
            home.mkdir()
            installation.give(home)
            env = installation.environment(
                PG_REGRESS=str(pgxs("regress/pg_regress")),
                TESTDIR=str(home),
                TMPDIR=str(home),
                VDB_TEST=str(top / "test"),
                # The private copy has no headers, and its pg_config would not say so.
                VDB_INCLUDE=pg_config("includedir-server"),
            )
            command = ["perl", "-I", pgxs("perl"), "-I", top / "test/tap", top / test]
            returncode, output, errors = run_perl(installation, command, env, home)
            stop_servers(home)
            count = count_tap(test, output, returncode)
            if count[1]:
                print(f"{test}:\n{output}{errors}")
                for log in sorted((home / "tmp_check/log").glob("*.log")):
                    print(f"-- {log.name}\n{log.read_text(errors='replace')[-4000:]}")
            return count

        return add(*in_parallel(run_one, tests))


def run_demo():
    """(status, output) of demo.py. It stops its server by itself, upon SIGTERM, too."""
    command = [sys.executable, REPO / "test/tools/demo.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            output, _ = process.communicate(timeout=LIMIT_S)
        except BaseException:
            process.terminate()
            raise
    return process.returncode, output


def demo():
    """What the demo shows is what it promises. One test for each promise."""
    require_module()
    status, output = run_demo()
    answers = re.findall(r"^\S.*\n(?:   \d\.\d{3}  .+\n){5}(?=\n)", output, re.M)
    recall = re.search(r"recall@10.*\n[-+]+\n +([\d.]+) .*\b500$", output, re.M)
    objects = re.findall(r"^ +\d+ \| (?:routing|chunk) .*\| ([tf]) +\| (\w+)$", output, re.M)
    promises = {
        "it ends well": status == 0,
        "16 questions have five answers each": len(answers) == 16,
        "the plan uses the index": "Index Scan using gloss_embedding_idx" in output,
        "recall@10 of 500 queries is at least .95": recall and float(recall.group(1)) >= 0.95,
        "the index has objects": len(objects) > 1,
        "all are encrypted": all(on == "t" and "d9d9f7" not in head for on, head in objects),
        "the server is removed": output.endswith("The server is stopped and its files are removed.\n"),
    }
    broken = [promise for promise, held in promises.items() if not held]
    if broken:
        print(output, *(f"demo: not so: {promise}" for promise in broken), sep="\n")
    return len(promises) - len(broken), len(broken)


def ubsan():
    """The module under UBSan through all tests that need one server. It is also the module's build
    by clang++ with warnings as errors."""
    if not files("src/pg/**/*.cpp"):
        return 0, 0
    built = stages_core.make_module(
        "module-ubsan",
        "CC=clang-14",
        "CXX=clang++-14",
        "VDB_CXXFLAGS=-Werror -Wno-unknown-warning-option -fsanitize=undefined "
        "-fno-sanitize-recover=all",
        "VDB_LDFLAGS=-fsanitize=undefined -shared-libsan -Wl,-rpath," + clang_runtime(),
    )
    if not built:
        return 0, 1
    return add((1, 0), regress("ubsan"), pgtap("ubsan"), isolation("ubsan"))


def clang_runtime():
    """The directory of clang's sanitizer libraries: a shared module needs the shared runtime."""
    name = f"libclang_rt.ubsan_standalone-{platform.machine()}.so"
    command = ["clang-14", f"--print-file-name={name}"]
    path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return str(pathlib.Path(path).parent)
