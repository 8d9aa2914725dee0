"""The proxy before an S3 server: who may do what, conditions, multipart rules, faults.

The bytes, the listing and the ranges are the server's. What s3rver leaves out is done here, as S3
documents it: signatures, session tokens, If-None-Match and If-Match on writes, the least size of a
part, abort and list of uploads, buckets as host names.
"""

import hashlib
import http.client
import pathlib
import re
import shutil
import threading
import urllib.parse
import xml.sax.saxutils

import sigv4
from fault_server import App
from http_message import Response

LEAST_PART_BYTES = 5 << 20
# Bodies up to so many bytes are remembered, to be given back later as an older object's.
REMEMBERED_BYTES = 1 << 20
UPSTREAM_TIMEOUT_S = 120
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "host"}


# What S3 calls the statuses that a fault may give.
CODES = {
    400: "InvalidRequest",
    401: "InvalidToken",
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "OperationAborted",
    413: "EntityTooLarge",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
}


def xml_error(status, code, message):
    escaped = xml.sax.saxutils.escape(message)
    body = '<?xml version="1.0" encoding="UTF-8"?>\n'
    body += f"<Error><Code>{code}</Code><Message>{escaped}</Message></Error>"
    return Response(status, body.encode(), [("content-type", "application/xml")])


class Upload:
    """A multipart upload under way."""

    def __init__(self, path):
        self.path = path
        self.parts = {}  # number -> (size, etag)


class S3Front(App):
    def __init__(self, upstream_port, directory, bucket, credentials, region):
        self._port = upstream_port
        self._directory = pathlib.Path(directory)
        self.bucket = bucket
        self.credentials = credentials
        self.region = region
        self._uploads = {}
        self._written = {}  # path -> bodies, the last two that are small enough, in order of writing
        self._lock = threading.Lock()
        # One write with a condition at a time, so that of two one fails.
        self._conditional = threading.Lock()

    def handle(self, request):
        try:
            sigv4.verify(self.credentials, self.region, request)
            return self.allowed(request, object_path(request))
        except sigv4.Refused as refused:
            return xml_error(refused.status, refused.code, refused.message)

    def error(self, status, message):
        return xml_error(status, CODES.get(status, "Error"), message)

    def allowed(self, request, path):
        query = request.query
        if path.partition("/")[0] != self.bucket:
            raise sigv4.Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        if "uploadId" in query:
            return self.multipart(request, path, query)
        if request.method == "GET" and "uploads" in query:
            return self.list_uploads(query)
        if request.method == "PUT":
            return self.put(request, path)
        response = self.forward(request, path)
        if request.method == "POST" and "uploads" in query and response.status == 200:
            name = re.search(rb"<UploadId>([^<]+)</UploadId>", response.body)[1].decode()
            self._uploads[name] = Upload(path)
        if request.method == "DELETE" and response.status < 300:
            with self._lock:
                self._written.pop(path, None)
        return response

    def put(self, request, path):
        condition = request.header("if-none-match") or request.header("if-match")
        if condition is None:
            response = self.forward(request, path)
        else:
            with self._conditional:
                self.check_condition(request, path)
                response = self.forward(request, path)
        if response.status < 300:
            self.remember(path, request.body)
        return response

    def check_condition(self, request, path):
        head = self.upstream("HEAD", path)
        if request.header("if-none-match") is not None:
            if request.header("if-none-match") != "*":
                message = "A header you provided implies functionality that is not implemented"
                raise sigv4.Refused(501, "NotImplemented", message)
            met = head.status == 404
        else:
            if head.status == 404:
                raise sigv4.Refused(404, "NoSuchKey", "The specified key does not exist.")
            met = request.header("if-match").strip('"') == (head.header("etag") or "").strip('"')
        if not met:
            message = "At least one of the pre-conditions you specified did not hold"
            raise sigv4.Refused(412, "PreconditionFailed", message)

    def multipart(self, request, path, query):
        upload = self._uploads.get(query["uploadId"])
        if upload is None or upload.path != path:
            message = "The specified multipart upload does not exist."
            raise sigv4.Refused(404, "NoSuchUpload", message)
        if request.method == "PUT":
            response = self.forward(request, path)
            if response.status == 200:
                etag = hashlib.md5(request.body).hexdigest()
                upload.parts[int(query["partNumber"])] = (len(request.body), etag)
            return response
        if request.method == "DELETE":
            self.forget_upload(query["uploadId"])
            return Response(204)
        if request.method != "POST":
            raise sigv4.Refused(501, "NotImplemented", "Listing parts is not implemented")
        self.check_parts(upload, request.body.decode())
        with self._conditional:
            if request.header("if-none-match") is not None:
                self.check_condition(request, path)
            response = self.forward(request, path)
        if response.status == 200:
            self.forget_upload(query["uploadId"])
            self.remember(path, None)
        return response

    def check_parts(self, upload, body):
        numbers = [int(n) for n in re.findall(r"<PartNumber>\s*(\d+)\s*</PartNumber>", body)]
        etags = [e.strip() for e in re.findall(r"<ETag>([^<]*)</ETag>", body)]
        etags = [xml.sax.saxutils.unescape(e, {"&quot;": '"', "&#34;": '"'}).strip('"') for e in etags]
        if numbers != sorted(set(numbers)):
            raise sigv4.Refused(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        known = [upload.parts.get(number) for number in numbers]
        if len(etags) != len(numbers) or [part and part[1] for part in known] != etags:
            message = "One or more of the specified parts could not be found."
            raise sigv4.Refused(400, "InvalidPart", message)
        if any(size < LEAST_PART_BYTES for size, _ in known[:-1]):
            message = "Your proposed upload is smaller than the minimum allowed size"
            raise sigv4.Refused(400, "EntityTooSmall", message)

    def forget_upload(self, name):
        self._uploads.pop(name, None)
        # Where s3rver keeps parts; it knows no abort of its own.
        for folder in (self._directory / self.bucket).glob(f"*uploads/{name}"):
            shutil.rmtree(folder, ignore_errors=True)

    def uploads(self):
        """[(upload id, path)] of the multipart uploads that are neither completed nor aborted."""
        return [(name, upload.path) for name, upload in list(self._uploads.items())]

    def list_uploads(self, query):
        """A page of the uploads under way, sorted by key, as ListMultipartUploads."""
        after = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        found = sorted((path.partition("/")[2], name) for name, path in self.uploads())
        found = [u for u in found if u[0].startswith(query.get("prefix", "")) and u > after]
        most = min(int(query.get("max-uploads", 1000)), 1000)
        page, truncated = found[:most], len(found) > most
        body = f"<ListMultipartUploadsResult><Bucket>{self.bucket}</Bucket>"
        for key, name in page:
            key = xml.sax.saxutils.escape(key)
            body += f"<Upload><Key>{key}</Key><UploadId>{name}</UploadId></Upload>"
        if truncated:
            key = xml.sax.saxutils.escape(page[-1][0])
            body += f"<NextKeyMarker>{key}</NextKeyMarker>"
            body += f"<NextUploadIdMarker>{page[-1][1]}</NextUploadIdMarker>"
        body += f"<IsTruncated>{str(truncated).lower()}</IsTruncated></ListMultipartUploadsResult>"
        return Response(200, body.encode(), [("content-type", "application/xml")])

    def keys(self):
        """The keys of the bucket's objects, whoever put them there."""
        query = "list-type=2&max-keys=1000"
        listed = self.upstream("GET", self.bucket, query).body.decode()
        return sorted(xml.sax.saxutils.unescape(key) for key in re.findall("<Key>([^<]*)</Key>", listed))

    # Upstream.

    def forward(self, request, path):
        query = request.target.partition("?")[2]
        headers = [(k, v) for k, v in request.headers if k.lower() not in HOP_BY_HOP]
        # The server is not told the secrets, and has no use for what they proved.
        left_out = {"authorization", "x-amz-security-token"}
        left_out |= {"range"} if request.range_ignored else set()
        headers = [(k, v) for k, v in headers if k.lower() not in left_out]
        return self.upstream(request.method, path, query, request.body, headers)

    def upstream(self, method, path, query="", body=b"", headers=()):
        target = "/" + urllib.parse.quote(path, safe="/" + sigv4.SAFE)
        target += "?" + query if query else ""
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=UPSTREAM_TIMEOUT_S)
        try:
            client.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers:
                client.putheader(name, value)
            if body or method in ("PUT", "POST"):
                client.putheader("content-length", str(len(body)))
            client.endheaders(body or None)
            answer = client.getresponse()
            kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP]
            response = Response(answer.status, answer.read(), kept)
            if method == "HEAD" and answer.getheader("content-length"):
                response.set_header("content-length", answer.getheader("content-length"))
            return response
        finally:
            client.close()

    # For faults.

    def remember(self, path, body):
        with self._lock:
            bodies = self._written.pop(path, [])
            if body is not None and len(body) <= REMEMBERED_BYTES:
                bodies = [*bodies[-1:], bytes(body)]
            self._written[path] = bodies

    def donor(self, request, older):
        path = object_path(request)
        with self._lock:
            paths, bodies = list(self._written), self._written.get(path, [])
        if older and len(bodies) > 1:
            return bodies[0]
        if older and path in paths:
            paths = paths[: paths.index(path)]
        others = [other for other in paths if other != path]
        return self.upstream("GET", others[-1]).body if others else None


def object_path(request):
    """bucket/key, also where the bucket is in the host's name: bucket.localhost."""
    path = urllib.parse.unquote(request.path).removeprefix("/")
    host = (request.header("host") or "").partition(":")[0]
    if host.endswith(".localhost"):
        return f"{host.removesuffix('.localhost')}/{path}"
    return path
