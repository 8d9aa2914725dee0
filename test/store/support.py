"""What the tests of the stand-ins share: test/tools in the path, and a plain HTTP client."""

import http.client
import json
import pathlib
import ssl
import sys
import urllib.parse

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "test/tools"))

VECTORS = json.loads((REPO / "test/golden/s5/vectors.json").read_text())
TIMEOUT_S = 20


class Client:
    """One kept-alive connection."""

    def __init__(self, url, ca=None, timeout=TIMEOUT_S):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(ca))
            self.http = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=context
            )
        else:
            self.http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def ask(self, method, target, body=None, headers=None):
        """(status, headers with lower-case names, body)."""
        self.http.request(method, target, body=body, headers=headers or {})
        response = self.http.getresponse()
        data = response.read()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, data


def ask(url, method, target, body=None, headers=None, **kwargs):
    """One request on a connection of its own."""
    with Client(url, **kwargs) as client:
        return client.ask(method, target, body, headers)


def pattern(size):
    """The vectors' bytes: i % 251."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]
