"""Packages from npm that tests use, fetched into build/npm when a test first asks.

test/store/node/<set> holds package.json and package-lock.json: every package of the tree with its
version and its hash, and no address, so that npm asks whatever registry it is configured for. No
package's own scripts are run.
"""

import functools
import pathlib
import shutil
import subprocess
import sys
import tempfile

from pg import REPO

WANTED = REPO / "test/store/node"
FETCHED = REPO / "build/npm"
TIMEOUT_S = 240
# A machine without a network is to find out soon.
OPTIONS = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
OPTIONS += ["--fetch-retries=1", "--fetch-timeout=20000"]


class Unavailable(Exception):
    """npm or node is missing, or npm cannot fetch a package: a test that needs it is skipped."""


class Tampered(Exception):
    """npm was given another package than the one whose hash is in package-lock.json."""


@functools.cache
def packages(name):
    """The folder that holds the node_modules of a set. Unavailable says why there is none."""
    try:
        return fetch(name)
    except (OSError, subprocess.SubprocessError) as error:
        failure = error
    return Failure(f"npm cannot fetch the packages of {name} ({type(failure).__name__})")


class Failure(str):
    """Why a set is unavailable; remembered, so that each set is tried once."""


def folder_of(name):
    """packages(name), raised where it failed."""
    found = packages(name)
    if isinstance(found, Failure):
        raise Unavailable(found)
    return found


def fetch(name):
    target, lock = FETCHED / name, "package-lock.json"
    wanted = (WANTED / name / lock).read_bytes()
    if (target / lock).exists() and (target / lock).read_bytes() == wanted:
        return target
    if not shutil.which("npm") or not shutil.which("node"):
        raise FileNotFoundError("npm or node")
    FETCHED.mkdir(parents=True, exist_ok=True)
    # Standard output may be a program's, which says one line of JSON there.
    print(f"   fetching the packages of {name}", file=sys.stderr, flush=True)
    # Whole or not at all: of two tests at once the later one replaces the same with the same.
    with tempfile.TemporaryDirectory(dir=FETCHED) as folder:
        made = pathlib.Path(folder) / name
        shutil.copytree(WANTED / name, made)
        command = ["npm", "ci", *OPTIONS]
        result = subprocess.run(command, cwd=made, capture_output=True, timeout=TIMEOUT_S)
        # A package that is not the one that was locked is no reason to skip a test.
        if b"EINTEGRITY" in result.stderr:
            raise Tampered(result.stderr.decode(errors="replace"))
        result.check_returncode()
        if target.exists():
            target.rename(pathlib.Path(folder) / "old")
        made.rename(target)
    return target
