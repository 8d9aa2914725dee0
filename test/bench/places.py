"""Where the benchmark keeps things, and the harness it shares with the tests."""

import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = REPO / "build/bench"
DATA = BUILD / "data"
FLOOR = BUILD / "floor"
RESULTS = BUILD / "results.json"
PROGRAMS = REPO / "build/core/bench"

sys.path.insert(0, str(REPO / "test/tools"))
