#!/usr/bin/env python3
"""Checks that includes point one way: each folder of src/ includes only those it stands on; that
setjmp stays behind its wall, and PostgreSQL's version in one file."""

import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parents[2] / "src"

# What a folder may include besides itself.
BELOW = {
    "base": [],
    "simd": ["base"],
    "quant": ["base", "simd"],
    "index": ["base", "simd", "quant"],
    "format": ["base"],
    "crypto": ["base"],
    "store": ["base"],
}
BELOW["engine"] = list(BELOW)
BELOW["pg"] = list(BELOW)

# Third-party headers that only these folders may see.
OWNERS = {
    r"hwy/": ["simd"],
    r"cbor\.h": ["format"],
    r"nlohmann/": ["format"],
    r"sodium(\.h|/)": ["crypto"],
    r"blake3\.h": ["crypto"],
    r"curl/": ["store"],
    # Everything PostgreSQL installs lies in these folders or is one of these files.
    r"(access|catalog|commands|executor|fmgr|funcapi|miscadmin|nodes|optimizer|parser|pg_config"
    r"|pgstat|port|portability|postgres|replication|storage|tcop|utils)(/|\.h|_fe\.h)": ["pg"],
    r"libpq-fe\.h": [],
}
# Words that belong to one file.
WORDS = {
    # The wall between C++ exceptions and PostgreSQL's longjmp.
    r"\b(sigsetjmp|PG_TRY|PG_CATCH)\b": ["pg/guard.h"],
    # What differs between PostgreSQL's versions.
    r"\b(PG_VERSION_NUM|PG_MAJORVERSION_NUM|PG_MAJORVERSION)\b": ["pg/compat.h"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def problems(path):
    folder = path.relative_to(SRC).parts[0]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        place = f"src/{path.relative_to(SRC)}:{number}"
        for pattern, owners in WORDS.items():
            match = re.search(pattern, line.split("//")[0])
            if match and str(path.relative_to(SRC)) not in owners:
                yield f"{place}: {match.group()} belongs to {owners[0]}"
        match = INCLUDE.match(line)
        if match is None:
            continue
        quote, target = match.groups()
        if (SRC / target).exists():
            other = target.split("/")[0]
            if quote == "<":
                yield f'{place}: our own header {target} is included with <>'
            elif folder not in BELOW:
                yield f"{place}: folder {folder} is not in the list of layers"
            elif other != folder and other not in BELOW[folder]:
                yield f"{place}: {folder} must not include {other}"
            continue
        for pattern, owners in OWNERS.items():
            if re.match(pattern, target) and folder not in owners:
                yield f"{place}: {folder} must not include {target}"


def main():
    paths = sorted(p for p in SRC.rglob("*") if p.suffix in (".h", ".cpp"))
    found = [problem for path in paths for problem in problems(path)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
