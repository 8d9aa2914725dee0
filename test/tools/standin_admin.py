"""The control port of a stand-in, for tests that are not Python, and its life as a program.

All answers are JSON.

    POST   /faults     {"kind": "status", "status": 503, "times": 2, ...}     see faults.py
    POST   /seed       {"seed": 7, "chance": 0.1, "kinds": [...]}
    GET    /faults     [["status", 2]]: how many requests each rule has hit
    DELETE /faults     no faults, no seed
    POST   /set        {"latency_ms": 20, "bandwidth": null, ...}             see FaultServer
    GET    /records    the requests so far; ?method=GET&path=regular-expression
    GET    /summary    counts of the same
    DELETE /records
    GET    /wire       the bytes of the wire (not JSON); ?sent=1 or ?sent=0 for one direction
    POST   /down, /up  refuse connections, on the same port again

A stand-in may add its own, by `more`: {(method, path): function of the request's JSON}.
"""

import contextlib
import dataclasses
import json
import signal
import sys
import threading

from fault_server import App, FaultServer
from http_message import Response, json_response


class Admin(App):
    def __init__(self, server, more=None):
        self._server = server
        self._more = more or {}

    def handle(self, request):
        server = self._server
        body = json.loads(request.body) if request.body else {}
        chosen = {k: v for k, v in request.query.items() if k in ("method", "path")}
        match request.method, request.path:
            case "POST", "/faults":
                server.faults.add(body.pop("kind"), **body)
            case "POST", "/seed":
                server.faults.seed(**body)
            case "GET", "/faults":
                return json_response(server.faults.hits())
            case "DELETE", "/faults":
                server.faults.clear()
            case "POST", "/set":
                for name, value in body.items():
                    server.set(name, value)
            case "GET", "/records":
                records = server.recorder.records(**chosen)
                return json_response([dataclasses.asdict(record) for record in records])
            case "GET", "/summary":
                return json_response(server.recorder.summary(**chosen))
            case "DELETE", "/records":
                server.recorder.clear()
            case "GET", "/wire":
                sent = {"0": False, "1": True}.get(request.query.get("sent"))
                return Response(200, server.recorder.wire_bytes(sent))
            case "POST", "/down":
                server.down()
            case "POST", "/up":
                server.up()
            case what if what in self._more:
                return json_response(self._more[what](body))
            case _:
                return json_response({"error": "no such command"}, 404)
        return json_response({"done": True})


def serve_until_told(server, more=None, second=None, **facts):
    """Prints one line of JSON, the addresses and whatever else there is to know; then serves until
    SIGTERM or the end of standard input, so that no stand-in outlives the test that started it.
    second: another server, with a control port of its own, `second_admin`."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: told.set())

    def read_to_the_end():
        while sys.stdin.buffer.read(4096):
            pass
        told.set()

    with contextlib.ExitStack() as stack:
        admin = stack.enter_context(FaultServer(Admin(server, more)))
        if second is not None:
            facts["second_admin"] = stack.enter_context(FaultServer(Admin(second))).url
        print(json.dumps({"url": server.url, "admin": admin.url, **facts}), flush=True)
        threading.Thread(target=read_to_the_end, daemon=True).start()
        told.wait()


def add_server_options(parser):
    """The options that every stand-in has."""
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--wire", action="store_true", help="keep all bytes sent and received")
    parser.add_argument("--latency-ms", type=float, default=0, help="added to each request")
    parser.add_argument("--bandwidth", type=float, help="bytes a second each way, of all connections together")
    parser.add_argument("--seed", type=int, help="faults by seed")
    parser.add_argument("--chance", type=float, default=0.1, help="of a fault, with --seed")


def server_options(arguments):
    """FaultServer's arguments from parsed options."""
    names = ("port", "tls", "wire", "latency_ms", "bandwidth")
    return {name: getattr(arguments, name) for name in names}
