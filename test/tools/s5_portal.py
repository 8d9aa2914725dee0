#!/usr/bin/env python3
"""A stand-in for an S5 portal: no real node runs on a development machine.

In Python:

    with S5Portal(tokens=["secret"], latency_ms=20) as portal:
        portal.url                                      http://127.0.0.1:port
        portal.faults.add("status", status=503)         see faults.py
        portal.recorder.summary()                       see recorder.py
        portal.node.blobs, portal.bridge.keys()         what it holds
        portal.storage.recorder                         the other host that /s5/blob sends to

As a program it prints {"url", "admin", "storage", "second_admin"} (the last is the storage's control
port) and serves until its standard input ends; standin_admin.py says what a control port takes. Of its
own the portal's has GET /blobs (hashes), /keys (of the bridge) and /pinned.
"""

import argparse

import standin_admin
from blobs import Blobs
from fault_server import FaultServer
from s5_dialect import Both, Bridge, Node

# The node closes a connection that was idle for so long.
IDLE_CLOSE_S = 1.0


class S5Portal(FaultServer):
    """A node and a bridge on one port, and a storage location on another host: `localhost` where the
    portal is 127.0.0.1, with a port of its own."""

    def __init__(
        self,
        directory=None,
        tokens=(),
        accounts=False,
        allow_delete=False,
        capacity=None,
        other_host=True,
        **options,
    ):
        """options: FaultServer's. other_host: /s5/blob redirects to `storage`, not to the portal."""
        self.node = Node(Blobs(directory), tokens, accounts, allow_delete, capacity)
        self.bridge = Bridge(tokens)
        options.setdefault("idle_close_s", IDLE_CLOSE_S)
        tls = options.get("tls")
        self.node.scheme = "https" if tls else "http"
        self.storage = None
        if other_host:
            # Only /storage is ever asked for there, and needs no token.
            kept = Node(self.node.blobs, tokens)
            self.storage = FaultServer(kept, tls=tls, wire=options.get("wire", False))
            self.node.storage_url = self.storage.url_at("localhost")
        try:
            super().__init__(Both(self.node, self.bridge), **options)
        except BaseException:
            self._stop_storage()
            raise

    def set(self, name, value):
        """Also the node's own: allow_delete, capacity, missing_wait_s, missing_status."""
        if name in ("allow_delete", "capacity", "missing_wait_s", "missing_status"):
            setattr(self.node, name, value)
        else:
            super().set(name, value)

    def stop(self):
        super().stop()
        self._stop_storage()

    def _stop_storage(self):
        if self.storage is not None:
            self.storage.stop()


def main():
    parser = argparse.ArgumentParser(description="a stand-in for an S5 portal")
    standin_admin.add_server_options(parser)
    parser.add_argument("--directory", help="where blobs are kept; else in memory")
    parser.add_argument("--token", action="append", default=[], help="of which a request needs one")
    parser.add_argument("--accounts", action="store_true", help="tokens as the account service's")
    parser.add_argument("--allow-delete", action="store_true")
    parser.add_argument("--capacity", type=int, help="bytes of the node's disk")
    parser.add_argument("--same-host", action="store_true", help="redirect blobs to the portal itself")
    arguments = parser.parse_args()
    with S5Portal(
        directory=arguments.directory,
        tokens=arguments.token,
        accounts=arguments.accounts,
        allow_delete=arguments.allow_delete,
        capacity=arguments.capacity,
        other_host=not arguments.same_host,
        **standin_admin.server_options(arguments),
    ) as portal:
        if arguments.seed is not None:
            portal.faults.seed(arguments.seed, arguments.chance)
        node = portal.node
        more = {
            ("GET", "/blobs"): lambda _: [key.hex() for key in node.blobs.hashes()],
            ("GET", "/keys"): lambda _: portal.bridge.keys(),
            ("GET", "/pinned"): lambda _: sorted(key.hex() for key in node.pinned),
        }
        standin_admin.serve_until_told(
            portal, more, portal.storage, storage=node.storage_url
        )


if __name__ == "__main__":
    main()
