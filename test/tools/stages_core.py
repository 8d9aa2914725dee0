"""The stages of check.py that need no server. Each returns (passed, failed)."""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from pg import REPO, pg_config

BUILD = REPO / "build"
# The sanitizers' builds keep assertions.
CLANG = ["-DCMAKE_C_COMPILER=clang-14", "-DCMAKE_CXX_COMPILER=clang++-14", "-DVDB_WERROR=ON"]
CLANG += ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1"]


def run(*command, **kwargs):
    """Runs a command in the repository; true when it succeeded. Its output is ours."""
    kwargs.setdefault("cwd", REPO)
    return subprocess.run([str(c) for c in command], **kwargs).returncode == 0


def one(succeeded):
    return (1, 0) if succeeded else (0, 1)


def add(*counts):
    return tuple(sum(column) for column in zip(*counts))


def files(*patterns):
    return sorted(str(f.relative_to(REPO)) for p in patterns for f in REPO.glob(p))


def in_parallel(function, items):
    """[function(item)] over all cores. After an error or a signal no more are started."""
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2)
    try:
        return list(pool.map(function, items))
    finally:
        pool.shutdown(cancel_futures=True)


def format_check():
    """One test a file. `make format` mends what it names."""

    def check_one(source):
        command = ["clang-format-14", "--dry-run", "-Werror", source]
        formatted = run(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not formatted:
            print(f"{source}: not as clang-format-14 writes it (make format)")
        return one(formatted)

    sources = files("src/**/*.h", "src/**/*.cpp", "test/**/*.h", "test/**/*.cpp")
    return add((0, 0), *in_parallel(check_one, sources))


def layers():
    return one(run("test/tools/check_layers.py"))


def cmake(name, *options):
    """Builds the core in build/<name>. False when that fails."""
    directory = BUILD / name
    configure = ["cmake", "-S", ".", "-B", directory, "-G", "Ninja", "--log-level=WARNING"]
    if not run(*configure, *options):
        return False
    # Ninja is told to keep going, so that one run shows every error.
    return run("cmake", "--build", directory, "--", "-k", "0", "--quiet")


def make_module(name, *variables):
    """Builds the module in build/<name> against the core in build/core, warnings being errors."""
    directory = BUILD / name
    directory.mkdir(parents=True, exist_ok=True)
    command = ["make", "-s", "-k", f"-j{os.cpu_count()}", "-C", directory, "-f", REPO / "Makefile"]
    return run(*command, f"VDB_CORE={BUILD}/core", f"VDB_MODULE={name}", *variables, "all")


def build():
    """Core and module with g++, as they ship, but with warnings as errors."""
    core = one(cmake("core", "-DVDB_WERROR=ON"))
    if not files("src/pg/**/*.cpp"):
        return core
    return add(core, one(make_module("module", "VDB_CXXFLAGS=-Werror")))


def ctest(name, launcher=(), env=None):
    """Runs the unit tests in build/<name>; counts test cases."""
    directory = BUILD / name
    reports = directory / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    tests = json.loads(
        subprocess.run(
            ["ctest", "--show-only=json-v1"], cwd=directory, check=True, capture_output=True
        ).stdout
    )["tests"]
    # ctest gives no command for what was not built.
    counts = [(0, 1) for test in tests if "command" not in test]
    tests = [test for test in tests if "command" in test]
    if not tests:
        return add((0, 0), *counts)
    command = [*launcher, "ctest", f"-j{os.cpu_count()}", "--output-on-failure", "--quiet"]
    command += ["-R", "^(" + "|".join(test["name"] for test in tests) + ")$"]
    env = dict(os.environ, **(env or {}))
    log = directory / "ctest.log"
    if not run(*command, "--output-log", log, cwd=directory, env=env):
        print(log.read_text(errors="replace")[-20000:])
    for test in tests:
        report = reports / (test["name"] + ".json")
        if report.exists():
            result = json.loads(report.read_text())
            failed = result["failures"] + result["errors"]
            counts.append((result["tests"] - result["disabled"] - failed, failed))
        else:
            print(f"{test['name']}: ended without a report")
            counts.append((0, 1))
    return add(*counts)


def unit():
    return ctest("core")


def asan():
    """ASan and UBSan. This is also the build by clang++ with warnings as errors."""
    built = cmake("asan", *CLANG, "-DVDB_SANITIZE=address,undefined")
    return add(one(built), ctest("asan", env={"UBSAN_OPTIONS": "print_stacktrace=1"}))


def tsan():
    built = cmake("tsan", *CLANG, "-DVDB_SANITIZE=thread")
    # clang 14's TSan gives up when the kernel randomises more address bits than it knows of.
    fixed = ["setarch", "-R"] if run("setarch", "-R", "true", stderr=subprocess.DEVNULL) else []
    return add(one(built), ctest("tsan", launcher=fixed))


def seeds(name):
    """The golden files that a fuzzer starts from: test/golden/<what>* for fuzz_<what>."""
    what = name.removeprefix("fuzz_")
    found = [str(f) for f in (REPO / "test/golden").glob(f"{what}*")]
    own = REPO / "test/fuzz/seeds" / what
    return [f for f in found if pathlib.Path(f).is_dir()] + ([str(own)] if own.is_dir() else [])


def fuzz():
    """Each fuzzer for VDB_FUZZ_SECONDS, one a core."""
    seconds = os.environ.get("VDB_FUZZ_SECONDS") or "60"
    names = [pathlib.Path(f).stem for f in files("test/fuzz/fuzz_*.cpp")]
    options = [f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-print_final_stats=1"]

    def fuzz_one(name):
        with tempfile.TemporaryDirectory(prefix="vdb-fuzz-") as corpus:
            command = [BUILD / "asan" / name, *options, corpus, *seeds(name)]
            log = BUILD / "asan" / f"{name}.log"
            with open(log, "wb") as out:
                clean = run(*command, stdout=out, stderr=out, cwd=BUILD / "asan")
            if not clean:
                print(f"{name} failed:\n{log.read_text(errors='replace')[-8000:]}")
            return one(clean)

    return add((0, 0), *in_parallel(fuzz_one, names))


def link_headers(include):
    """Links into `include` the headers of other libraries that the core includes, and no others: the
    cross compiler does not search /usr/include, whose C library is not its own."""
    include.mkdir(parents=True, exist_ok=True)
    folders = [pathlib.Path("/usr/include"), *pathlib.Path("/usr/include").glob("*-linux-gnu")]
    folders += sorted(pathlib.Path("/usr/share/cargo/registry").glob("blake3-*/c"))
    for name in ("hwy", "cbor.h", "cbor", "sodium.h", "sodium", "nlohmann", "curl", "blake3.h"):
        found = [folder / name for folder in folders if (folder / name).exists()]
        if found and not (include / name).exists():
            (include / name).symlink_to(found[0])


def arm64():
    """Compiles the core for arm64, the kernels to NEON's instructions, where there is a cross
    compiler."""
    compiler = shutil.which("aarch64-linux-gnu-g++")
    if compiler is None:
        print("arm64: skipped, there is no aarch64-linux-gnu-g++", flush=True)
        return 0, 0
    include = BUILD / "arm64/include"
    link_headers(include)
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-Isrc", "-isystem", include]
    sources = [f for f in files("src/**/*.cpp") if not f.startswith("src/pg/")]

    def compile_one(source):
        # What an instruction set lacks shows when code is made, and only kernels have any.
        kernels = source.startswith(("src/simd/", "src/quant/"))
        how = ["-S", "-o", os.devnull] if kernels else ["-fsyntax-only"]
        return one(run(compiler, *flags, *how, source))

    return add((0, 0), *in_parallel(compile_one, sources))


def tidy():
    """clang-tidy over src/, one file a core; a file passes when there is no finding."""
    core_flags = ["-std=c++20", "-Isrc"]
    pg_flags = [*core_flags, "-Wno-register", "-isystem", pg_config("includedir-server")]
    for directory in pathlib.Path("/usr/share/cargo/registry").glob("blake3-*/c"):
        core_flags += ["-isystem", str(directory)]

    def tidy_one(source):
        flags = pg_flags if source.startswith("src/pg/") else core_flags
        command = ["clang-tidy-14", "--quiet", "--warnings-as-errors=*", source, "--", *flags]
        result = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
        if result.returncode != 0:
            print(re.sub(r"\n{2,}", "\n", result.stdout), result.stderr[-2000:], flush=True)
        return one(result.returncode == 0)

    return add((0, 0), *in_parallel(tidy_one, files("src/**/*.cpp")))
