"""Requests and responses of the stand-ins, and how they are read from and written to a connection."""

import dataclasses
import http
import json
import re
import urllib.parse

MAX_HEAD_BYTES = 64 << 10
MAX_BODY_BYTES = 256 << 20
WHOLE = (0, (1 << 62) - 1)


class BadRequest(Exception):
    """Not HTTP, or more of it than a stand-in takes."""


class Gone(Exception):
    """The other side closed the connection, or was silent for too long."""


@dataclasses.dataclass
class Request:
    method: str
    target: str
    headers: list  # (name as sent, value)
    body: bytes = b""
    connection: int = 0
    number_on_connection: int = 0
    range_ignored: bool = False  # by a fault: the header is there, as it was signed

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        """The first value of each parameter."""
        pairs = urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        return dict(reversed(pairs))

    def header(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    @property
    def range(self):
        return None if self.range_ignored else self.header("range")

    def span(self):
        """First and last byte that a single plain Range asks for; else the whole object."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.range or "")
        if match is None:
            return WHOLE
        return int(match[1]), int(match[2]) if match[2] else WHOLE[1]

    def without_range(self):
        return dataclasses.replace(self, range_ignored=True)


@dataclasses.dataclass
class Response:
    status: int = 200
    body: bytes = b""
    headers: list = dataclasses.field(default_factory=list)
    chunked: bool = False  # no Content-Length, as a server that does not know it
    close: bool = False

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def set_header(self, name, value):
        """Replaces a header, or removes it where value is None."""
        self.headers = [(k, v) for k, v in self.headers if k.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, str(value)))

    def first_byte(self):
        """Where in the object the body begins."""
        match = re.match(r"bytes (\d+)-", self.header("content-range") or "")
        return int(match[1]) if match and self.status == 206 else 0

    def head(self, method):
        """The bytes before the body."""
        try:
            reason = http.HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{k}: {v}" for k, v in self.headers)]
        if self.status >= 200 and self.status not in (204, 304):
            if self.chunked and method != "HEAD":
                lines.append("transfer-encoding: chunked")
            elif self.header("content-length") is None:
                lines.append(f"content-length: {len(self.body)}")
        if self.close:
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def text(status, message="", **kwargs):
    headers = [("content-type", "text/plain; charset=utf-8")]
    return Response(status, message.encode(), headers, **kwargs)


def json_response(value, status=200, **kwargs):
    headers = [("content-type", "application/json; charset=utf-8")]
    return Response(status, json.dumps(value).encode(), headers, **kwargs)


def serve_range(request, body, headers=()):
    """What a sound file server answers to a GET: 200, 206 or 416. One range at most."""
    headers = [*headers, ("accept-ranges", "bytes")]
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.range or "")
    if match is None or match.groups() == ("", ""):
        return Response(200, body[:], headers)
    size = len(body)
    if match[1]:
        first = int(match[1])
        last = min(int(match[2]), size - 1) if match[2] else size - 1
    else:
        first, last = max(0, size - int(match[2])), size - 1
    if first > last:
        return Response(416, b"", [("content-range", f"bytes */{size}")])
    headers.append(("content-range", f"bytes {first}-{last}/{size}"))
    return Response(206, body[first : last + 1], headers)


class Reader:
    """Reads requests from a socket; `seen` gets every byte received."""

    def __init__(self, sock, seen=lambda data: None):
        self._sock = sock
        self._seen = seen
        self._buffer = b""

    def _more(self):
        try:
            data = self._sock.recv(256 << 10)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._seen(data)
        self._buffer += data

    def _until(self, mark):
        while mark not in self._buffer:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequest("head too long")
            self._more()
        line, _, self._buffer = self._buffer.partition(mark)
        return line

    def _exactly(self, size):
        if size > MAX_BODY_BYTES:
            raise BadRequest("body too long")
        parts, have = [self._buffer[:size]], min(size, len(self._buffer))
        self._buffer = self._buffer[size:]
        while have < size:
            self._more()
            parts.append(self._buffer[: size - have])
            self._buffer = self._buffer[size - have :]
            have += len(parts[-1])
        return b"".join(parts)

    def head(self):
        """A request without its body."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise BadRequest("not HTTP")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequest("header without a colon")
            headers.append((name, value.strip()))
        return Request(parts[0], parts[1], headers)

    def some(self, size):
        """The first bytes of a body, as many as there are up to size."""
        self._exactly(size)

    def body(self, request):
        """The body that the head announces."""
        if (request.header("transfer-encoding") or "").lower() != "chunked":
            return self._exactly(int(request.header("content-length") or 0))
        parts = []
        while True:
            size = int(self._until(b"\r\n").partition(b";")[0], 16)
            if size == 0:
                while self._until(b"\r\n"):
                    pass
                return b"".join(parts)
            parts.append(self._exactly(size))
            self._until(b"\r\n")


def multipart_parts(body, content_type):
    """[(headers with lower-case names, bytes)] of a multipart body."""
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if match is None:
        raise BadRequest("multipart without a boundary")
    mark = b"--" + match[1].encode()
    parts = []
    for piece in (b"\r\n" + body).split(b"\r\n" + mark)[1:]:
        if piece.startswith(b"--"):
            return parts
        head, found, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not found:
            raise BadRequest("part without an end of its head")
        lines = [line.partition(":") for line in head.decode("utf-8").split("\r\n")]
        parts.append(({name.lower(): value.strip() for name, _, value in lines}, data))
    raise BadRequest("multipart without an end")
