"""What an S5 node of the Dart kind answers, and Fabstir's bridge; as apps of a fault server.

Read from the node's source (s5-dev/S5 1.0.0-pre.1): the quirks are its own. Where a real node would
first look for a blob in its network, for up to a minute, this one waits `missing_wait_s`.
"""

import base64
import json
import re
import secrets
import threading
import time
import urllib.parse

import native
import s5_format
from fault_server import App
from http_message import Response, json_response, multipart_parts, serve_range, text
from s5_format import base64url_decode, base64url_encode

VERSION = "1.0.0-pre.1"
UPLOAD_LIMIT = 34_000_000
RANGED_ABOVE = 256 << 10
BRIDGE_LIMIT = 50 << 20
REGISTRY_DATA_LIMIT = 64
FOREVER = ("cache-control", "public, max-age=31536000")


class Uncaught(Exception):
    """A string that the node throws: 500 with that text."""


class Node(App):
    """One node: its blobs, its registry, its uploads under way."""

    def __init__(self, blobs, tokens=(), accounts=False, allow_delete=False, capacity=None):
        """tokens: where there are any, a request needs one of them; with `accounts`, not for the
        scopes that the node's account service always allows. capacity: bytes of the node's disk."""
        self.blobs = blobs
        self.tokens = set(tokens)
        self.accounts = accounts
        self.allow_delete = allow_delete
        self.capacity = capacity
        self.missing_wait_s = 0
        self.missing_status = 500
        self.scheme = "http"
        self.storage_url = None  # where /s5/blob sends; None: /storage of this server
        self.pinned = set()
        self._registry = {}
        self._uploads = {}
        self._lock = threading.Lock()

    # Pattern, method, the scope that the account service knows it by, handler's name.
    ROUTES = [
        (r"/", "GET", None, "root"),
        (r"/s5/version", "GET", None, "version"),
        (r"/s5/upload", "POST", "s5/upload", "upload"),
        (r"/s5/upload/tus", "POST", "s5/upload/tus", "tus_create"),
        (r"/s5/upload/tus/([^/]+)", "PATCH", None, "tus_patch"),
        (r"/s5/upload/tus/([^/]+)", "HEAD", None, "tus_head"),
        (r"/s5/(?:upload|registry|(?:delete|pin)/[^/]+)", "HEAD", None, "nothing"),
        (r"/s5/blob/([^/]+)", "GET", None, "blob"),
        (r"/s5/download/([^/]+)", "GET", "s5/download", "download"),
        (r"/s5/pin/([^/]+)", "POST", "s5/pin", "pin"),
        (r"/s5/delete/([^/]+)", "DELETE", "s5/delete", "delete"),
        (r"/s5/registry", "GET", None, "registry_get"),
        (r"/s5/registry", "POST", "s5/registry/write", "registry_post"),
        (r"/([^/]+)", "GET", "s5/download", "get"),
    ]

    def handle(self, request):
        found = re.fullmatch(r"/storage/([0-9a-f]{64})", request.path)
        if found and request.method in ("GET", "HEAD"):
            return self.storage(request, found[1])
        for pattern, method, scope, name in self.ROUTES:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                denied = self.denied(request, scope)
                return denied or getattr(self, name)(request, *match.groups())
        return self.denied(request, None) or text(404, "404 not found")

    def denied(self, request, scope):
        if not self.tokens or (self.accounts and scope is None):
            return None
        sent = request.header("authorization", "")
        if sent.startswith("Bearer ") and sent[7:] in self.tokens:
            return None
        if not self.accounts:
            return text(401, "Unauthorized")
        return text(401, "Invalid auth token" if sent else "No auth token found")

    def root(self, _):
        return text(200, f"S5 Node is running! :) v{VERSION}", chunked=True)

    def version(self, _):
        return json_response({"node": VERSION}, chunked=True)

    def nothing(self, _):
        return text(200)

    # Storing.

    def keep(self, data):
        """Stores data; returns the CID that an upload answers."""
        if self.capacity is not None and self.blobs.total_bytes() + len(data) > self.capacity:
            message = "writeFrom failed (OS Error: No space left on device, errno = 28)"
            raise Uncaught("FileSystemException: " + message)
        return s5_format.Cid(self.blobs.put(data), len(data))

    def upload(self, request):
        data = request.body
        content_type = request.header("content-type", "")
        if content_type.lower().startswith("multipart/form-data"):
            data = uploaded_file(data, content_type)
        if len(data) > UPLOAD_LIMIT:
            raise Uncaught(f"This API only supports a maximum size of {UPLOAD_LIMIT} bytes")
        return json_response({"cid": self.keep(data).text()}, chunked=True)

    def wrong_cid(self, response):
        if not response.body.startswith(b'{"cid"'):
            return response
        cid = s5_format.parse_cid(s5_format.multibase_decode(json.loads(response.body)["cid"]))
        other = s5_format.Cid(native.blake3(cid.hash), cid.size)
        return json_response({"cid": other.text()}, chunked=True)

    def tus_create(self, request):
        length = int(request.header("upload-length"))
        pairs = [pair.split(" ") for pair in request.header("upload-metadata").split(",")]
        fields = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
        hash_ = base64url_decode(base64.b64decode(fields["hash"]).decode())
        if len(hash_) != 33 or hash_[0] != s5_format.BLAKE3:
            raise Uncaught("Invalid hash")
        if hash_[1:] in self.blobs:
            cid = s5_format.Cid(hash_[1:], length).text()
            return text(409, f"Raw file with CID {cid} has already been uploaded to this node")
        name = s5_format.base58_encode(secrets.token_bytes(32))
        with self._lock:
            self._uploads[name] = [hash_[1:], length, b""]
        host = request.header("host")
        location = f"{self.scheme}://{host}/s5/upload/tus/{name}"
        return Response(201, headers=[("tus-resumable", "1.0.0"), ("location", location)])

    def tus_patch(self, request, name):
        with self._lock:
            upload = self._uploads.get(name)
            if upload is None:
                return text(404)
            expected, length, data = upload
            if int(request.header("upload-offset")) != len(data):
                raise Uncaught("Invalid offset")
            data = upload[2] = data + request.body
        headers = [("tus-resumable", "1.0.0")]
        if len(data) != length:
            return Response(200, headers=headers)
        if native.blake3(data) != expected:
            with self._lock:
                del self._uploads[name]
            raise Uncaught("Invalid hash found")
        self.keep(data)
        return Response(204, headers=[*headers, ("upload-offset", str(length))])

    def tus_head(self, _, name):
        upload = self._uploads.get(name)
        if upload is None:
            return text(404)
        headers = [("tus-resumable", "1.0.0"), ("upload-offset", str(len(upload[2])))]
        # The node says the whole length as Content-Length too.
        headers += [("upload-length", str(upload[1])), ("content-length", str(upload[1]))]
        return Response(200, headers=[*headers, ("cache-control", "no-store")])

    # Reading.

    def legacy(self, name):
        """The CID in a path. A blob identifier is not understood there."""
        data = s5_format.multibase_decode(urllib.parse.unquote(name).split(".")[0])
        if data[:2] != bytes([s5_format.RAW, s5_format.BLAKE3]):
            raise Uncaught("This is not a raw CID")
        return s5_format.parse_cid(data)

    def bytes_of(self, cid):
        """The blob's bytes, or the answer that there are none."""
        data = self.blobs.get(cid.hash)
        if data is None:
            time.sleep(self.missing_wait_s)
            name = base64url_encode(bytes([s5_format.BLAKE3]) + cid.hash)
            message = f"Could not download raw file: Timed out after 0:01:00.000000 {name}"
            return None, text(self.missing_status, message)
        return data, None

    def get(self, request, name):
        cid = self.legacy(name)
        headers = [
            ("content-type", "application/octet-stream"),
            ("content-disposition", f'inline; filename="{name}"'),
            ("etag", f'"{base64url_encode(bytes([s5_format.BLAKE3]) + cid.hash)}"'),
            ("accept-ranges", "bytes"),
            FOREVER,
        ]
        data, missing = self.bytes_of(cid)
        if missing:
            return missing
        if cid.size is None or cid.size <= RANGED_ABOVE:
            return Response(200, data[:], headers, chunked=True)
        if cid.size != len(data):
            raise Uncaught("Failed to download chunk. (Invalid bytes)")
        return ranged(request.range, data, headers)

    def blob(self, request, name):
        cid = self.legacy(name)
        _, missing = self.bytes_of(cid)
        if missing:
            return missing
        base = self.storage_url or f"{self.scheme}://{request.header('host')}"
        return Response(307, headers=[("location", f"{base}/storage/{cid.hash.hex()}")])

    def storage(self, request, name):
        """The storage location itself: a file server, which asks for no token."""
        data = self.blobs.get(bytes.fromhex(name))
        if data is None:
            return text(404, "Not Found")
        return serve_range(request, data, [("content-type", "application/octet-stream")])

    def download(self, _, name):
        cid = self.legacy(name)
        data, missing = self.bytes_of(cid)
        headers = [("content-type", "application/octet-stream"), FOREVER]
        return missing or Response(200, data[:], headers)

    def pin(self, _, name):
        cid = self.legacy(name)
        _, missing = self.bytes_of(cid)
        if not missing:
            self.pinned.add(cid.hash)
        return missing or text(200)

    def delete(self, _, name):
        if not self.allow_delete:
            return text(401, "Endpoint disabled in config.toml")
        cid = self.legacy(name)
        self.blobs.remove(cid.hash)
        self.pinned.discard(cid.hash)
        return text(200)

    # The registry.

    def registry_get(self, request):
        entry = self._registry.get(base64url_decode(request.query["pk"]))
        if entry is None:
            return text(404)
        public, revision, data, signature = entry
        fields = {"pk": base64url_encode(public), "revision": revision}
        fields |= {"data": base64url_encode(data), "signature": base64url_encode(signature)}
        return json_response(fields, chunked=True)

    def registry_post(self, request):
        fields = json.loads(request.body)
        public, data = base64url_decode(fields["pk"]), base64url_decode(fields["data"])
        revision, signature = fields["revision"], base64url_decode(fields["signature"])
        if len(public) != 33:
            raise Uncaught("Invalid pubkey")
        if public[0] != s5_format.ED25519:
            raise Uncaught("Only ed25519 keys are supported")
        if not isinstance(revision, int) or not 0 <= revision <= 1 << 48:
            raise Uncaught("Invalid revision")
        if len(data) > REGISTRY_DATA_LIMIT:
            raise Uncaught("Data too long")
        message = s5_format.registry_message(revision, data)
        if not native.ed25519_verify(public[1:], message, signature):
            raise Uncaught("Invalid signature found")
        with self._lock:
            stored = self._registry.get(public)
            if stored is not None and stored[1] >= revision:
                raise Uncaught("Revision number too low")
            self._registry[public] = (public, revision, data, signature)
        return Response(204)

    def donor(self, request, older):
        name = request.path.rpartition("/")[2]
        try:
            key = bytes.fromhex(name) if len(name) == 64 else self.legacy(name).hash
        except (ValueError, Uncaught):
            return None
        return self.blobs.donor(key, older)


def uploaded_file(body, content_type):
    """The bytes of the form's field `file`, as the node reads them."""
    for headers, data in multipart_parts(body, content_type):
        disposition = headers.get("content-disposition", "")
        if re.search(r'\bname="?file"?(;|$)', disposition):
            if "filename" not in disposition:
                raise Uncaught("type 'String' is not a subtype of type 'HttpBodyFileUpload'")
            kind = headers.get("content-type", "text/plain")
            if kind.startswith("text/") or kind.startswith("application/json"):
                # Decoded to a string, then cut to the low bytes of its UTF-16.
                wide = data.decode("utf-8", "replace").encode("utf-16-le", "surrogatepass")
                return wide[::2]
            return data
    raise Uncaught("type 'Null' is not a subtype of type 'HttpBodyFileUpload'")


def ranged(value, data, headers):
    """The node's own notion of ranges, for blobs over 256 KiB."""
    total = len(data)
    if value is None or not value.startswith("bytes="):
        return Response(200, data[:], headers)
    items = [re.fullmatch(r"\s*(\d*)-(\d*)\s*", item) for item in value[6:].split(",")]
    if None in items or any(item.groups() == ("", "") for item in items):
        return text(416, "416 Semantically invalid, or unbounded range.")
    bounds = [tuple(int(number) if number else -1 for number in item.groups()) for item in items]
    for first, last in bounds:
        if first != -1 and last != -1 and last < first:
            return text(416, "416 Semantically invalid, or unbounded range.")
        if last >= total:
            return Response(200, data[:], headers)
        if first >= total:
            return text(416, f"416 Given range {first}-{last} is out of bounds.")
    if len(bounds) > 1:
        # The node never ends this answer. Here the connection's idle time does, with nothing sent.
        return Response(206, b"", [*headers, ("content-length", str(total))])
    first, last = bounds[0]
    # A suffix is taken for a prefix that long.
    first, last = max(first, 0), total - 1 if last == -1 else last
    content_range = ("content-range", f"bytes {first}-{last}/{total}")
    return Response(206, data[first : last + 1], [*headers, content_range])


class Bridge(App):
    """Fabstir's bridge: a key-value store. It knows no ranges."""

    def __init__(self, tokens=()):
        self.tokens = set(tokens)
        self._lock = threading.Lock()
        self._values = {}  # key -> [oldest value, ..., present one]; an empty list after a delete

    def handle(self, request):
        if request.path == "/health":
            return json_response({"status": "ok", "initialized": True})
        match = re.fullmatch(r"/s5/fs/(.+)", request.path)
        if match is None:
            return text(404, "Not Found")
        sent = request.header("authorization", "")
        if self.tokens and not (sent.startswith("Bearer ") and sent[7:] in self.tokens):
            return json_response({"error": "Unauthorized"}, 401)
        key = urllib.parse.unquote(match[1])
        with self._lock:
            values = self._values.setdefault(key, [])
            if request.method == "PUT":
                if len(request.body) > BRIDGE_LIMIT:
                    return json_response({"error": "request entity too large"}, 413)
                values.append(stored_value(key, request.body))
                return json_response({"success": True})
            if request.method not in ("GET", "HEAD", "DELETE"):
                return text(404, f"Cannot {request.method} {request.path}")
            if not values:
                return json_response({"error": "Not found"}, 404)
            if request.method == "DELETE":
                values.clear()
                return json_response({"success": True})
            headers = [("content-type", "application/octet-stream"), ("x-s5-path", key)]
            return Response(200, values[-1], headers)

    def keys(self):
        with self._lock:
            return sorted(key for key, values in self._values.items() if values)

    def donor(self, request, older):
        key = urllib.parse.unquote(request.path.removeprefix("/s5/fs/"))
        with self._lock:
            values = self._values.get(key, [])
            if older and len(values) > 1:
                return values[-2]
            others = [v[-1] for k, v in self._values.items() if v and k != key]
            return others[-1] if others else None


def stored_value(key, body):
    """One of the bridges parses .json and writes it again, its own way."""
    if not key.endswith(".json"):
        return body
    return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()


class Both(App):
    """A node and a bridge on one port."""

    def __init__(self, node, bridge):
        self.node, self.bridge = node, bridge

    def app_of(self, request):
        bridged = request.path == "/health" or request.path.startswith("/s5/fs/")
        return self.bridge if bridged else self.node

    def handle(self, request):
        return self.app_of(request).handle(request)

    def donor(self, request, older):
        return self.app_of(request).donor(request, older)

    def wrong_cid(self, response):
        return self.node.wrong_cid(response)
