"""Huge pages, which a server of searches should have for its shared memory (docs/operations.md):
what is searched lies all over it. The programs of this process are given them as well."""

import contextlib
import pathlib
import re

RESERVED = pathlib.Path("/proc/sys/vm/nr_hugepages")
# Has malloc ask the system for huge pages.
MALLOC = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


@contextlib.contextmanager
def reserved(megabytes):
    """Reserves so much more as long as this lasts, where that is allowed. Yields whether it is
    there: PostgreSQL takes it by itself then (huge_pages = try)."""
    size = re.search(r"^Hugepagesize:\s+(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M)
    before = int(RESERVED.read_text()) if RESERVED.exists() else 0
    wanted = before + megabytes * 1024 // int(size.group(1)) if size else 0
    try:
        if wanted > 0:
            RESERVED.write_text(str(wanted))
    except OSError:  # not as root, or not in this container
        wanted = 0
    try:
        yield 0 < wanted <= int(RESERVED.read_text())
    finally:
        if wanted > 0:
            RESERVED.write_text(str(before))
