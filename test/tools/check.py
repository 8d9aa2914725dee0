#!/usr/bin/env python3
"""Runs the project's checks: all of them, or the stages named.

check.py [STAGE]...        stages: see STAGES below
Every stage runs even when one before it failed. The last line is `N passed, N failed`; the exit
status is 1 when something failed.

Environment: VDB_FUZZ_SECONDS, time for each fuzzer (60).
"""

import sys
import time
import traceback

import pg
import stages_core
import stages_pg
import stages_store

STAGES = {
    "format": stages_core.format_check,
    "layers": stages_core.layers,
    "build": stages_core.build,
    "unit": stages_core.unit,
    "standins": stages_store.standins,
    "regress": stages_pg.regress,
    "pgtap": stages_pg.pgtap,
    "isolation": stages_pg.isolation,
    "tap": stages_pg.tap,
    "demo": stages_pg.demo,
    "ubsan": stages_pg.ubsan,
    "asan": stages_core.asan,
    "tsan": stages_core.tsan,
    "fuzz": stages_core.fuzz,
    "arm64": stages_core.arm64,
    "tidy": stages_core.tidy,
}


def run_stage(name):
    """(passed, failed) of one stage; whatever it raises is one failure."""
    start = time.monotonic()
    try:
        passed, failed = STAGES[name]()
    except Exception:  # the other stages still run
        traceback.print_exc()
        passed, failed = 0, 1
    if passed or failed:
        seconds = time.monotonic() - start
        print(f"== {name}: {passed} passed, {failed} failed, {seconds:.0f} s", flush=True)
    return passed, failed


def main():
    names = sys.argv[1:] or list(STAGES)
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"unknown stage {unknown[0]}; stages: {' '.join(STAGES)}", file=sys.stderr)
        return 2
    pg.exit_on_sigterm()
    counts = [run_stage(name) for name in names]
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
