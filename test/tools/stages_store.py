"""The stage of check.py for what stands in for remote stores. Returns (passed, failed)."""

import collections
import io
import sys
import unittest

import native
import npm_packages
from pg import REPO


# What stand-ins need of build/, for where another user runs them from a copy.
PREPARED = ("build/standins", "build/npm")


def prepare():
    """Makes PREPARED as far as this machine can; what is missing is said by the tests that need it."""
    native.blake3_library()
    for name in ("s5", "s3"):
        npm_packages.packages(name)


def standins():
    """test/store/test_*.py. What is skipped is said, and is neither passed nor failed."""
    folder = str(REPO / "test/store")
    sys.path.insert(0, folder)
    try:
        suite = unittest.defaultTestLoader.discover(folder)
        log = io.StringIO()
        result = unittest.TextTestRunner(stream=log, verbosity=0).run(suite)
    finally:
        sys.path.remove(folder)
    # A test counts once, however many of its subtests failed.
    bad = {test_of(test) for test, _ in result.failures + result.errors}
    bad |= {test_of(test) for test in result.unexpectedSuccesses}
    if bad:
        print(log.getvalue()[-20000:], flush=True)
    reasons = collections.Counter(reason for _, reason in result.skipped)
    for reason, count in sorted(reasons.items()):
        print(f"   {count} skipped: {reason}", flush=True)
    # A class whose setup fails or skips is one test, and none of its tests run.
    setups = sum(1 for test in bad if not isinstance(test, unittest.TestCase))
    skipped = sum(1 for test, _ in result.skipped if isinstance(test, unittest.TestCase))
    return result.testsRun - (len(bad) - setups) - skipped, len(bad)


def test_of(test):
    return getattr(test, "test_case", test)
