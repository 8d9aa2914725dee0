#!/usr/bin/env python3
"""Writes the list of test files at the end of docs/testing.md, from what the files say of themselves:
the first comment of scripts and fuzzers, the names of unit tests, the docstring of Python files."""

import ast
import re

from pg import REPO

PAGE = REPO / "docs/testing.md"
MARK = "## Every test\n"
FOLDERS = [
    ("test/unit", "*_test.cpp"),
    ("test/fuzz", "fuzz_*.cpp"),
    ("sql", "*.sql"),
    ("test/pgtap", "*.sql"),
    ("test/isolation/specs", "*.spec"),
    ("test/tap", "*.pl"),
    ("test/store", "test_*.py"),
]


def first_comment(path):
    """The comment or docstring that a file begins with, as one line."""
    if path.suffix == ".py":
        return " ".join(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split())
    comment = {".cpp": "//", ".sql": "--"}.get(path.suffix, "#")
    words = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith(comment):
            break
        words.append(line.removeprefix(comment).strip())
    return " ".join(words)


def unit_tests(path):
    """`Suite: names of its tests` for each suite, the names with spaces."""
    suites = {}
    for suite, name in re.findall(r"^TEST(?:_[FP])?\((\w+),\s*(\w+)\)", path.read_text(), re.M):
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
        suites.setdefault(suite, []).append(words[0] + words[1:].lower())
    return "; ".join(f"{suite}: {', '.join(names)}" for suite, names in suites.items())


def main():
    lines = [MARK, "Written by `make test-list` from the files themselves.\n"]
    for folder, pattern in FOLDERS:
        lines.append(f"### {folder}\n")
        for path in sorted((REPO / folder).glob(pattern)):
            text = unit_tests(path) if folder == "test/unit" else first_comment(path)
            lines.append(f"- `{path.name}`: {text}")
        lines.append("")
    page = PAGE.read_text(encoding="utf-8").split(MARK)[0].rstrip("\n")
    PAGE.write_text(page + "\n\n" + "\n".join(lines).rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
