#!/usr/bin/env python3
"""Runs a command beside a throw-away server, then stops and removes the server.

cluster.py [--set NAME=VALUE]... [--no-preload] [--module NAME] [--] COMMAND [ARG]...

PGHOST, PGPORT and PGUSER point the command at the server and PATH at its programs, so
`cluster.py psql` is a session with the module as built. Build first (`make all`).
"""

import argparse
import subprocess
import sys

import pg


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--no-preload", action="store_true")
    parser.add_argument("--module", default="release")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    pg.exit_on_sigterm()
    with pg.Installation(arguments.module) as installation:
        with pg.Cluster(installation, settings, not arguments.no_preload) as cluster:
            env = dict(cluster.env, PGDATA=str(cluster.data), PGLOG=str(cluster.log))
            return subprocess.run(command or ["psql", "-d", "postgres"], env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
