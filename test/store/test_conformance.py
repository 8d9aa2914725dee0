"""The stores of src/store do what every store must, against the stand-in portal and the S5 and S3
servers here: each test of store_conformance_test with a server of its own."""

import json
import os
import pathlib
import subprocess
import unittest

from support import REPO

import npm_packages
from s3_server import S3Server
from s5_portal import S5Portal

PROGRAM = pathlib.Path(os.environ.get("VDB_CORE", REPO / "build/core")) / "store_conformance_test"


def names():
    listed = subprocess.run([PROGRAM, "--gtest_list_tests"], capture_output=True, text=True, check=True)
    lines = listed.stdout.splitlines()
    return sorted({line.strip().split("/")[0] for line in lines if line.startswith("  ")})


@unittest.skipUnless(PROGRAM.exists(), "build/core is not built")
class Conformance(unittest.TestCase):
    def run_case(self, name, case, **server):
        environment = {f"VDB_STORE_{key.upper()}": json.dumps(value) for key, value in server.items()}
        command = [PROGRAM, "--gtest_brief=1", f"--gtest_filter=*/StoreConformance.{name}/{case}"]
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, timeout=120
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("1 test from", done.stdout)

    def test_s5(self):
        for name in names():
            for case in ("S5Portal", "S5Redirect", "S5PortalBridge"):
                # Blobs are named by their bytes: what one test leaves, another would find.
                with self.subTest(name=name, case=case):
                    with S5Portal(tokens=["secret"], allow_delete=True) as portal:
                        self.run_case(name, case, s5={"url": portal.url, "token": "secret"})

    def test_s3(self):
        for name in names():
            for case in ("S3Server", "S3ServerHosted"):
                with self.subTest(name=name, case=case):
                    try:
                        server = S3Server()
                    except npm_packages.Unavailable as error:
                        self.skipTest(str(error))
                    with server as s3:
                        where = {"url": s3.url, "bucket": s3.bucket, "region": s3.region}
                        # Below localhost every name is this machine: the bucket's, too.
                        where["hosted_url"] = s3.url.replace("127.0.0.1", "localhost")
                        where["access_key_id"] = s3.credentials.access_key_id
                        where["secret_access_key"] = s3.credentials.secret_access_key
                        self.run_case(name, case, s3=where)


if __name__ == "__main__":
    unittest.main()
