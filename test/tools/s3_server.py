#!/usr/bin/env python3
"""An S3 server that is not ours (s3rver, from npm), behind a proxy that checks signatures and commits
faults.

In Python:

    with S3Server(latency_ms=20) as s3:
        s3.url, s3.bucket, s3.region, s3.credentials
        s3.url_at("bucket.localhost")               the bucket as a host name
        s3.faults, s3.recorder                      as the S5 portal's: see s5_portal.py
        s3.front.uploads()                          multipart uploads that nobody finished
        s3.ask("GET", "/bucket/key")                a signed request, for tests

S3Server raises npm_packages.Unavailable where npm cannot fetch s3rver: the test is then skipped. As a
program it prints {"url", "admin", "bucket", "region", "access_key_id", "secret_access_key"}, or
{"unavailable": why} and exits with 77; of its own its control port has GET /uploads and /keys.
"""

import argparse
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile

import npm_packages
import sigv4
import standin_admin
from fault_server import FaultServer
from pg import REPO
from s3_front import S3Front

BUCKET = "archive"
REGION = "eu-test-1"
SKIPPED = 77


class S3Server(FaultServer):
    def __init__(self, bucket=BUCKET, region=REGION, session_token=None, directory=None, **options):
        """options: FaultServer's. directory: where objects are kept; else a temporary one."""
        folder = npm_packages.folder_of("s3")
        self.bucket, self.region = bucket, region
        self.credentials = sigv4.Credentials("AKSTANDIN", "stand-in/secret+key", session_token)
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="vdb-s3-")
        kept = pathlib.Path(directory or self._temporary.name)
        script = REPO / "test/store/node/s3rver.mjs"
        command = ["node", "--no-deprecation", str(script), str(folder), str(kept), bucket]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise npm_packages.Unavailable(f"node cannot be run ({type(error).__name__})") from error
        try:
            port = json.loads(self._process.stdout.readline())["port"]
            self.front = S3Front(port, kept, bucket, self.credentials, region)
            super().__init__(self.front, **options)
        except BaseException:
            self._end()
            raise

    def ask(self, method, target, body=b"", headers=(), host=None):
        """(status, headers with lower-case names, body) of a signed request."""
        host = host or f"127.0.0.1:{self.port}"
        signed = sigv4.sign(self.credentials, self.region, method, target, host, body, headers)
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            client.request(method, target, body=body or None, headers=dict(signed))
            answer = client.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            client.close()

    def stop(self):
        super().stop()
        self._end()

    def _end(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        if self._temporary is not None:
            self._temporary.cleanup()


def main():
    parser = argparse.ArgumentParser(description="an S3 server with faults")
    standin_admin.add_server_options(parser)
    parser.add_argument("--bucket", default=BUCKET)
    parser.add_argument("--region", default=REGION)
    parser.add_argument("--session-token")
    parser.add_argument("--directory", help="where objects are kept; else a temporary one")
    arguments = parser.parse_args()
    try:
        server = S3Server(
            arguments.bucket,
            arguments.region,
            arguments.session_token,
            arguments.directory,
            **standin_admin.server_options(arguments),
        )
    except npm_packages.Unavailable as error:
        print(json.dumps({"unavailable": str(error)}), flush=True)
        return SKIPPED
    with server:
        if arguments.seed is not None:
            server.faults.seed(arguments.seed, arguments.chance)
        standin_admin.serve_until_told(
            server,
            {
                ("GET", "/uploads"): lambda _: server.front.uploads(),
                ("GET", "/keys"): lambda _: server.front.keys(),
            },
            bucket=server.bucket,
            region=server.region,
            access_key_id=server.credentials.access_key_id,
            secret_access_key=server.credentials.secret_access_key,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
