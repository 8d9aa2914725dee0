#!/usr/bin/env python3
"""A certificate authority for one test: its certificate, and servers' under it, good and bad.

    ca = ThrowawayCa(directory)
    ca.certificate                  what a client is to trust
    ca.server()                     (certificate, key) for 127.0.0.1 and localhost
    ca.server("wrong-host")         for another name
    ca.server("expired")            until yesterday
    ca.server("not-yet")            from tomorrow
    ThrowawayCa(other).server()     by an authority that the client does not know

As a program: throwaway_ca.py DIRECTORY makes all of them, and prints their paths as JSON.
"""

import datetime
import json
import pathlib
import subprocess
import sys

HOSTS = {"wrong-host": "DNS:elsewhere.invalid"}
HERE = "IP:127.0.0.1,DNS:localhost"
# First and last day of validity, counted from today.
DAYS = {"expired": (-30, -1), "not-yet": (1, 30)}
VALID = (-1, 30)
KINDS = ("good", "wrong-host", "expired", "not-yet")

CONFIG = """
[ca]
default_ca = own
[own]
database = {directory}/index.txt
new_certs_dir = {directory}
serial = {directory}/serial
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


class ThrowawayCa:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "ca.pem"
        self._key = self.directory / "ca.key"
        self._config = self.directory / "ca.conf"
        self._config.write_text(CONFIG.format(directory=self.directory))
        (self.directory / "index.txt").write_text("")
        (self.directory / "serial").write_text("01\n")
        self._openssl(
            ["req", "-x509", *new_key(self._key), "-out", self.certificate, "-days", "30"],
            ["-subj", "/CN=throw-away CA of a test", "-addext", "keyUsage=critical,keyCertSign"],
        )

    def server(self, kind="good"):
        """(certificate, key) as paths; made where it is missing."""
        if kind not in KINDS:
            raise ValueError(f"unknown certificate {kind}; certificates: {' '.join(KINDS)}")
        certificate, key = self.directory / f"{kind}.pem", self.directory / f"{kind}.key"
        if not certificate.exists():
            request = self.directory / f"{kind}.csr"
            names = "subjectAltName=" + HOSTS.get(kind, HERE)
            self._openssl(
                ["req", *new_key(key), "-out", request],
                ["-subj", f"/CN=stand-in ({kind})", "-addext", names],
            )
            first, last = (stamp(days) for days in DAYS.get(kind, VALID))
            self._openssl(
                ["ca", "-batch", "-notext", "-config", self._config, "-in", request],
                ["-cert", self.certificate, "-keyfile", self._key, "-out", certificate],
                ["-startdate", first, "-enddate", last],
            )
        return str(certificate), str(key)

    def _openssl(self, *parts):
        command = ["openssl", *(str(word) for part in parts for word in part)]
        result = subprocess.run(command, capture_output=True, text=True, cwd=self.directory)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:2])} failed:\n{result.stderr}")


def new_key(path):
    """Options of `openssl req` for an elliptic key: RSA takes seconds to make."""
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]


def stamp(days):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.strftime("%Y%m%d%H%M%SZ")


def main():
    ca = ThrowawayCa(pathlib.Path(sys.argv[1]).resolve())
    print(json.dumps({"ca": str(ca.certificate), **{kind: ca.server(kind) for kind in KINDS}}))


if __name__ == "__main__":
    main()
