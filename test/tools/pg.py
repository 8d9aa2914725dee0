"""A throw-away PostgreSQL: a private copy of the installation, and clusters that run from it.

The copy makes tests independent of the system: nothing is installed into the system's PostgreSQL,
and two builds of the module can be tested side by side. It works because PostgreSQL finds its
libraries and extensions relative to its binaries.

A server refuses to run as root, so root runs it as user postgres; everything the server reads is
below one temporary directory which that user may enter.
"""

import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
SUPERUSER = "postgres"


def pg_config(option):
    """What pg_config says to --option."""
    command = [os.environ.get("PG_CONFIG", "pg_config"), "--" + option]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def exit_on_sigterm():
    """Makes SIGTERM and SIGHUP unwind the stack, so that servers are stopped."""

    def leave(signum, _frame):
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


def as_server_user():
    """Popen arguments that make the child user postgres when we are root."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class Installation:
    """A copy of the system's PostgreSQL with the module in it, in a temporary directory."""

    def __init__(self, module="release"):
        """module: the build in build/module-<name>, or build/module for 'release'."""
        self._module = module

    def __enter__(self):
        os.umask(0o022)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="vdb-"))
        try:
            self.root.chmod(0o755)
            for option in ("bindir", "pkglibdir", "sharedir"):
                source = pg_config(option)
                shutil.copytree(
                    source,
                    str(self.root) + source,
                    ignore=shutil.ignore_patterns("bitcode", "pgxs", "man"),
                    ignore_dangling_symlinks=True,
                    dirs_exist_ok=True,
                )
            self.bindir = pathlib.Path(str(self.root) + pg_config("bindir"))
            install_module(self.root, self._module)
            # A place that the server's user owns.
            self.work = self.root / "work"
            self.work.mkdir()
            self.give(self.work)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def give(self, path):
        """Makes the server's user the owner of path and all below it."""
        user = as_server_user()
        if user:
            for directory, _, files in os.walk(path):
                os.chown(directory, user["user"], user["group"])
                for name in files:
                    os.chown(os.path.join(directory, name), user["user"], user["group"])

    def stage(self, *parts):
        """Copies parts of the repository (those that exist) to where the server's user can read and
        write, in the same layout. Returns the top of the copy."""
        top = self.work / "src"
        for part in parts:
            if (REPO / part).exists() and not (top / part).exists():
                shutil.copytree(REPO / part, top / part)
        top.mkdir(exist_ok=True)
        self.give(top)
        return top

    def environment(self, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        env["PATH"] = f"{self.bindir}:{env.get('PATH', '/usr/bin:/bin')}"
        env["HOME"] = str(self.work)
        env["LC_ALL"] = "C"
        env.update(extra)
        return env

    def start(self, command, **kwargs):
        """Popen as the server's user, with this installation's programs first in PATH."""
        kwargs.setdefault("env", self.environment())
        kwargs.setdefault("cwd", self.work)
        return subprocess.Popen([str(c) for c in command], **as_server_user(), **kwargs)

    def run(self, command, **kwargs):
        """subprocess.run as the server's user, with this installation's programs first in PATH."""
        kwargs.setdefault("env", self.environment())
        kwargs.setdefault("cwd", self.work)
        return subprocess.run([str(c) for c in command], **as_server_user(), **kwargs)


def install_module(root, module):
    """Runs `make install` of a module build below root. Nothing to do while there is no module."""
    directory = REPO / "build" / ("module" if module == "release" else f"module-{module}")
    if (directory / "vdb_ext.so").exists():
        command = ["make", "--no-print-directory", "-s", "-C", directory, "-f", REPO / "Makefile"]
        command += [f"VDB_MODULE={module}", f"VDB_CORE={REPO}/build/core", f"DESTDIR={root}"]
        subprocess.run([str(c) for c in command + ["install"]], check=True)


class Cluster:
    """A running server: unix socket only, its data below the installation's temporary directory."""

    def __init__(self, installation, settings=None, preload=True):
        self._pg = installation
        self._settings = dict(settings or {})
        if preload:
            self._settings.setdefault("shared_preload_libraries", "vdb_ext")
        self._server = None

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir=self._pg.work))
        self._pg.give(self.directory)
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.env = self._pg.environment(PGHOST=str(self.directory), PGUSER=SUPERUSER, PGPORT="5432")
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        initdb = ["initdb", "-D", self.data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"]
        initdb += ["--locale=C", "--no-sync"]
        self._pg.run(initdb, check=True, stdout=subprocess.DEVNULL)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "max_wal_size": "2GB",
            "log_line_prefix": "%m [%p] %q%a ",
            **self._settings,
        }
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            for name, value in settings.items():
                conf.write(f"{name} = '{value}'\n")
        self._launch()

    def _launch(self):
        with open(self.log, "ab") as log:
            self._server = self._pg.start(
                ["postgres", "-D", self.data],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.env,
                cwd=self.directory,
                start_new_session=True,  # a Ctrl-C is ours to handle
            )
        deadline = time.monotonic() + 60
        while self.psql("select 1", check=False).returncode != 0:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start:\n" + self.log.read_text())
            time.sleep(0.05)

    def _stop(self):
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)
            try:
                self._server.wait(60)
            except subprocess.TimeoutExpired:
                self._server.send_signal(signal.SIGQUIT)
                self._server.wait()

    def __exit__(self, *_):
        self._stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def postmaster(self):
        """The server's process id."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def restart(self):
        """The same cluster in a new server, with nothing in its caches."""
        self._stop()
        self._launch()

    def crashes(self):
        """The log's lines about failed assertions, sanitizers and backends that died."""
        words = re.compile("runtime error:|AddressSanitizer|TRAP:|PANIC:|was terminated by signal")
        return [line for line in self.log.read_text(errors="replace").splitlines() if words.search(line)]

    def psql(self, sql, database="postgres", options=(), check=True):
        """Runs sql; the result's stdout has unaligned rows, fields separated by tabs."""
        command = ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database]
        result = self._pg.run(
            [*command, *options], input=sql, env=self.env, capture_output=True, text=True
        )
        if check and result.returncode != 0:
            raise RuntimeError(f"psql failed:\n{result.stderr}\nin: {sql[:500]}")
        return result

    def query(self, sql, database="postgres"):
        """Rows as lists of strings."""
        lines = self.psql(sql, database).stdout.splitlines()
        return [line.split("\t") for line in lines]
