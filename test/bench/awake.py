"""Processors that are never idle while latencies are taken.

A query of a tenth of a millisecond ends with both processes asleep. On a virtual machine the
processor is then given back to the host, and what comes next begins with caches and page tables
that somebody else has filled: what is measured is the host, as it is at that minute. Here a loop
of the lowest scheduling class (SCHED_IDLE) keeps each processor in the guest; it gives way to
anything else at once."""

import os
import subprocess
import sys

LOOP = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == int(sys.argv[2]):
    for _ in range(10_000_000):
        pass
"""


class Awake:
    def __enter__(self):
        self._loops = [
            subprocess.Popen([sys.executable, "-c", LOOP, str(processor), str(os.getpid())])
            for processor in sorted(os.sched_getaffinity(0))
        ]

    def __exit__(self, *exception):
        for loop in self._loops:
            loop.kill()
            loop.wait()
