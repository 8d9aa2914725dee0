"""An HTTP/1.1 server for stand-ins: keep-alive, TLS, latency, bandwidth, faults, a record of it all.

One thread a connection, all of them asleep in the kernel while nothing happens. Loopback only. What
it serves is an App's; the S5 portal and the proxy before the S3 server are two.
"""

import re
import select
import socket
import ssl
import struct
import threading
import time

import http_message
from faults import Rules
from http_message import BadRequest, Gone, Response, text
from recorder import Recorder

# Between two sleeps on a line of limited bandwidth so much is sent, and for so long, at least.
PIECE_BYTES = 64 << 10
PIECE_S = 0.002
FIRST_REQUEST_S = 30
BACKLOG = 1024  # "a hundred backends at once", each with several connections


class App:
    """What a server serves."""

    def handle(self, request):
        """The sound answer to a request. What it raises becomes a 500 with the text of it."""
        raise NotImplementedError

    def donor(self, request, older):
        """Bytes of another object than the one asked for, or of what was there before; None: none."""
        return None

    def error(self, status, message):
        """How this kind of server says an error."""
        return text(status, message)

    def wrong_cid(self, response):
        """An upload's answer that names other bytes than were sent."""
        return response


# A sleep may end so much too late.
LATE_S = 0.02


class Throttle:
    """One direction of a line: hands out bandwidth in the order of asking."""

    def __init__(self):
        self._lock = threading.Lock()
        self._free_at = 0.0

    def delay(self, size, bytes_per_s):
        """How long to wait so that size more bytes keep within bytes_per_s."""
        if not bytes_per_s:
            return 0.0
        with self._lock:
            now = time.monotonic()
            # A line that is in use loses nothing to sleeps that end late.
            late = now - self._free_at
            self._free_at = (self._free_at if late < LATE_S else now) + size / bytes_per_s
            return self._free_at - now


class Exchange:
    """One connection and the request that is being served on it."""

    def __init__(self, server, sock, number):
        self.server = server
        self.sock = sock
        self.number = number

    def reset(self):
        """Ends the connection by RST."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        raise Gone

    def give_up(self, faults, kind):
        """Ends the exchange as reset, close or stall is to end it."""
        if kind == "reset":
            self.reset()
        if kind == "stall":
            self.wait_gone(faults[kind].seconds)
        raise Gone

    def wait_gone(self, seconds=None):
        """Says nothing more until the client leaves, or for so long. What it sends meanwhile is left
        unread, so that a large upload stands still too."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        poll.poll(None if seconds is None else seconds * 1000)
        raise Gone

    def send(self, data, record=None):
        """Sends, within the bandwidth; counts body bytes in the record."""
        server = self.server
        size = max(PIECE_BYTES, int(server.bandwidth * PIECE_S)) if server.bandwidth else len(data)
        for at in range(0, len(data), max(size, 1)) or [0]:
            piece = data[at : at + size]
            server.pause(server.sending.delay(len(piece), server.bandwidth))
            server.recorder.wire(self.number, True, piece)
            try:
                self.sock.sendall(piece)
            except OSError as error:
                raise Gone from error
            if record is not None:
                record.response_bytes += len(piece)

    def answer(self, request, response, record, faults):
        """Sends a response whole, or as far as the faults let it."""
        record.status = response.status
        empty = request.method == "HEAD" or response.status in (204, 304)
        body = b"" if empty else response.body
        self.send(response.head(request.method))
        cut, stall = faults.get("cut"), faults.get("stall")
        limit = cut.at if cut else stall.at if stall else None
        part = body if limit is None else body[:limit]
        if response.chunked and not empty and part:
            part = b"%x\r\n%s\r\n" % (len(part), part)
        if part:
            self.send(part, record)
        if stall:
            self.wait_gone(stall.seconds)
        if cut:
            if cut.reset:
                self.reset()
            raise Gone
        if response.chunked and not empty:
            self.send(b"0\r\n\r\n")
        if response.close:
            raise Gone


class FaultServer:
    """Serves an App on a port of the loopback interface, from construction until stop().

    Settings that may change while it runs: latency_ms (added to each request), bandwidth (bytes a
    second in each direction, of all connections together, None: no limit), idle_close_s,
    connection_limit with over_limit = "503" | "reset" | "wait". faults are Rules, recorder is a
    Recorder.
    """

    def __init__(self, app, tls=None, host="127.0.0.1", port=0, wire=False, **settings):
        """tls: (certificate file, key file)."""
        self.app = app
        self.faults = Rules()
        self.recorder = Recorder(wire)
        self.receiving, self.sending = Throttle(), Throttle()
        self.latency_ms = 0
        self.bandwidth = None
        self.idle_close_s = 60
        self.connection_limit = None
        self.over_limit = "503"
        for name, value in settings.items():
            self.set(name, value)
        self._tls = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._connections = {}  # number -> [socket, thread]
        self._listener = None
        self._host, self._port = host, port
        self.up()

    SETTINGS = ("latency_ms", "bandwidth", "idle_close_s", "connection_limit", "over_limit")

    def set(self, name, value):
        if name not in self.SETTINGS:
            raise ValueError(f"unknown setting {name}; settings: {' '.join(self.SETTINGS)}")
        setattr(self, name, value)

    @property
    def port(self):
        return self._port

    @property
    def url(self):
        return self.url_at(self._host)

    def url_at(self, host):
        """The address under another name of the same machine."""
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def up(self):
        """Listens; after down(), on the same port."""
        self._closing = threading.Event()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self._port))
        listener.listen(BACKLOG)
        self._port = listener.getsockname()[1]
        self._listener = listener
        accept = threading.Thread(target=self._accept, args=(listener, self._closing), daemon=True)
        accept.start()
        self._accepting = accept

    def down(self):
        """Refuses connections and resets those there are, as a server that is killed."""
        self._closing.set()
        if self._listener is not None:
            try:
                self._listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._listener.close()
            self._listener = None
        with self._changed:
            self._changed.notify_all()
            connections = list(self._connections.values())
        for sock, _ in connections:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._accepting.join(5)
        for _, thread in connections:
            if thread is not threading.current_thread():
                thread.join(5)

    def stop(self):
        self.down()

    def pause(self, seconds):
        """Sleeps, but not past down()."""
        if seconds > 0 and self._closing.wait(seconds):
            raise Gone

    def _accept(self, listener, closing):
        while not closing.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                while self._full() and self.over_limit == "wait" and not closing.is_set():
                    self._changed.wait()
            number = self.recorder.connected()
            with self._changed:
                refused = self._full()
                thread = threading.Thread(
                    target=self._serve, args=(sock, number, refused), daemon=True
                )
                self._connections[number] = [sock, thread]
            thread.start()

    def _full(self):
        limit = self.connection_limit
        return limit is not None and len(self._connections) >= limit

    def _serve(self, sock, number, refused):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(FIRST_REQUEST_S)
            if refused and self.over_limit == "reset":
                Exchange(self, sock, number).reset()
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._connections[number][0] = sock
            self._requests(Exchange(self, sock, number), refused)
        except (Gone, OSError, BadRequest):
            pass
        finally:
            # The socket is closed before it leaves the list: a limit counts those that are open.
            sock.close()
            with self._changed:
                self._connections.pop(number, None)
                self._changed.notify_all()

    def _requests(self, exchange, refused):
        reader = http_message.Reader(
            exchange.sock, lambda data: self.recorder.wire(exchange.number, False, data)
        )
        count = 0
        while True:
            request = reader.head()
            started = time.monotonic()
            exchange.sock.settimeout(FIRST_REQUEST_S)
            request.connection, request.number_on_connection = exchange.number, count
            count += 1
            if (request.header("expect") or "").lower() == "100-continue":
                exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            record = self.recorder.begin(
                connection=exchange.number,
                method=request.method,
                target=request.target,
                range=request.range,
                header_names=sorted({name.lower() for name, _ in request.headers}),
                started=started,
            )
            try:
                faults = self._faults_of(request, record)
                self._read_body(exchange, reader, request, faults)
                record.request_bytes = len(request.body)
                self.pause(self.receiving.delay(len(request.body), self.bandwidth))
                if refused:
                    response = self.app.error(503, "Too many connections")
                    response.close = True
                    exchange.answer(request, response, record, {})
                self._serve_one(exchange, request, record, faults)
            finally:
                record.ended = time.monotonic()
            if (request.header("connection") or "").lower() == "close":
                return
            exchange.sock.settimeout(self.idle_close_s)

    def _faults_of(self, request, record):
        """{kind: fault} that the request is to suffer."""
        chosen = self.faults.choose(request)
        record.faults = [fault.kind for fault in chosen]
        return {fault.kind: fault for fault in chosen}

    def _read_body(self, exchange, reader, request, faults):
        for kind in ("reset", "close", "stall"):
            if kind in faults and faults[kind].upload_at is not None:
                reader.some(faults[kind].upload_at)
                exchange.give_up(faults, kind)
        try:
            request.body = reader.body(request)
        except ValueError as error:
            raise BadRequest("length is not a number") from error

    def _serve_one(self, exchange, request, record, faults):
        self.pause(self.latency_ms / 1000)
        if "slow_first_byte" in faults:
            self.pause(faults["slow_first_byte"].seconds)
        for kind in ("reset", "close"):
            if kind in faults and not faults[kind].after:
                exchange.give_up(faults, kind)
        if "stall" in faults and faults["stall"].at is None:
            exchange.give_up(faults, "stall")
        response = instead(self.app, request, faults)
        if response is None:
            asked = request.without_range() if "ignore_range" in faults else request
            try:
                response = self.app.handle(asked)
            except Gone:
                raise
            except Exception as error:  # as a server that does not catch it
                response = text(500, str(error))
            damage(self.app, request, response, faults)
            if "wrong_cid" in faults and response.status < 300:
                response = self.app.wrong_cid(response)
        for kind in ("reset", "close"):
            if kind in faults:
                exchange.give_up(faults, kind)
        exchange.answer(request, response, record, faults)


def instead(app, request, faults):
    """The answer that a fault gives without the work being done; None: no such fault."""
    if "status" in faults:
        fault = faults["status"]
        response = app.error(fault.status, fault.text)
        if fault.retry_after is not None:
            response.set_header("retry-after", fault.retry_after)
        return response
    if "disk_full" in faults:
        message = "FileSystemException: writeFrom failed (OS Error: No space left on device, errno = 28)"
        return app.error(500, message)
    if "redirect_loop" in faults:
        return Response(307, headers=[("location", request.target)])
    if "redirect" in faults:
        return Response(307, headers=[("location", faults["redirect"].to + request.target)])
    return None


def damage(app, request, response, faults):
    """Makes a sound answer with bytes of an object wrong, in place."""
    if response.status not in (200, 206) or request.method not in ("GET", "POST"):
        return
    first = response.first_byte()
    for kind in ("other_object", "older_object"):
        donor = app.donor(request, kind == "older_object") if kind in faults else None
        if donor:
            # The same length, from the same place, so that only the bytes tell.
            size = len(response.body)
            donor *= (first + size) // len(donor) + 1
            response.body = donor[first : first + size]
    if "flip" in faults:
        at = faults["flip"].offset - first
        if 0 <= at < len(response.body):
            body = bytearray(response.body)
            body[at] ^= 1 << faults["flip"].bit
            response.body = bytes(body)
    if "wrong_content_range" in faults and response.status == 206:
        response.set_header("content-range", wrong_range(response, faults["wrong_content_range"].what))
    if "truncate" in faults:
        response.body = response.body[: faults["truncate"].at]
        response.set_header("content-length", None)


def wrong_range(response, what):
    """A Content-Range that does not say what the body is."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.header("content-range") or "")
    if what == "none" or match is None:
        return None
    first, last, total = (int(number) for number in match.groups())
    if what == "total":
        return f"bytes {first}-{last}/{total + 1}"
    return f"bytes {first + 1}-{last + 1}/{total + 1}"
