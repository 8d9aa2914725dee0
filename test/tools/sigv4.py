"""AWS Signature Version 4 for S3, both sides: s3rver, like other small servers, does not check it.

Written from AWS's description. The tests hold it against the signatures that AWS publishes, against the
npm package aws4 and against curl.
"""

import dataclasses
import datetime
import hashlib
import hmac
import re
import urllib.parse

UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW_S = 15 * 60
SAFE = "-_.~"


@dataclasses.dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


class Refused(Exception):
    """What S3 says to a request that it does not accept."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def canonical_path(path):
    """Each segment decoded and encoded once: S3 is the service that does not do it twice."""
    return urllib.parse.quote(urllib.parse.unquote(path), safe="/" + SAFE) or "/"


def canonical_query(query):
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    decoded = [(urllib.parse.unquote(name), urllib.parse.unquote(value)) for name, _, value in pairs]
    encoded = [tuple(urllib.parse.quote(part, safe=SAFE) for part in pair) for pair in decoded]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def signature(secret, method, target, headers, signed, payload_hash, date, region):
    """The signature in hex. headers: (name, value) pairs; signed: lower-case names; date: x-amz-date."""
    path, _, query = target.partition("?")
    values = {}
    for name, value in headers:
        value = re.sub(" +", " ", value.strip())
        values.setdefault(name.lower(), []).append(value)
    lines = [method, canonical_path(path), canonical_query(query)]
    lines += [f"{name}:{','.join(values[name])}" for name in signed]
    request = "\n".join([*lines, "", ";".join(signed), payload_hash])
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}"
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def sign(credentials, region, method, target, host, body=b"", headers=(), now=None):
    """headers with those added that make the request S3's; as pairs."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    date = now.strftime("%Y%m%dT%H%M%SZ")
    payload_hash = hashlib.sha256(body).hexdigest()
    headers = [*headers, ("host", host), ("x-amz-date", date), ("x-amz-content-sha256", payload_hash)]
    if credentials.session_token:
        headers.append(("x-amz-security-token", credentials.session_token))
    signed = sorted({name.lower() for name, _ in headers})
    secret = credentials.secret_access_key
    made = signature(secret, method, target, headers, signed, payload_hash, date, region)
    value = f"Credential={credentials.access_key_id}/{date[:8]}/{region}/s3/aws4_request, "
    value += f"SignedHeaders={';'.join(signed)}, Signature={made}"
    return [*headers, ("authorization", "AWS4-HMAC-SHA256 " + value)]


def verify(credentials, region, request, now=None):
    """Raises Refused where S3 would not accept the request."""
    authorization = request.header("authorization")
    if authorization is None:
        raise Refused(403, "AccessDenied", "Access Denied")
    fields = dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^, ]+)", authorization))
    scope = fields.get("Credential", "").split("/")
    if not authorization.startswith("AWS4-HMAC-SHA256 ") or len(fields) != 3 or len(scope) != 5:
        raise Refused(400, "AuthorizationHeaderMalformed", "The authorization header is malformed.")
    if scope[0] != credentials.access_key_id:
        message = "The AWS Access Key Id you provided does not exist in our records."
        raise Refused(403, "InvalidAccessKeyId", message)
    if scope[2:] != [region, "s3", "aws4_request"]:
        message = f"The authorization header is malformed; expecting '{region}' and 's3'."
        raise Refused(400, "AuthorizationHeaderMalformed", message)
    date = check_date(request, scope[1], now)
    payload_hash = check_payload(request)
    signed = fields["SignedHeaders"].split(";")
    check_signed_names(request, signed)
    if (request.header("x-amz-security-token") or None) != credentials.session_token:
        raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
    secret = credentials.secret_access_key
    target, headers = request.target, request.headers
    args = (secret, request.method, target, headers, signed, payload_hash, date, region)
    if not hmac.compare_digest(signature(*args), fields["Signature"]):
        message = "The request signature we calculated does not match the signature you provided."
        raise Refused(403, "SignatureDoesNotMatch", message)


def check_date(request, day, now):
    date = request.header("x-amz-date") or ""
    try:
        moment = datetime.datetime.strptime(date + "+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        message = "AWS authentication requires a valid Date or x-amz-date header"
        raise Refused(403, "AccessDenied", message) from None
    now = now or datetime.datetime.now(datetime.timezone.utc)
    if date[:8] != day:
        raise Refused(400, "AuthorizationHeaderMalformed", "Invalid credential date.")
    if abs((now - moment).total_seconds()) > SKEW_S:
        message = "The difference between the request time and the current time is too large."
        raise Refused(403, "RequestTimeTooSkewed", message)
    return date


def check_payload(request):
    stated = request.header("x-amz-content-sha256")
    if stated is None:
        message = "Missing required header for this request: x-amz-content-sha256"
        raise Refused(400, "InvalidRequest", message)
    if stated != UNSIGNED and stated != hashlib.sha256(request.body).hexdigest():
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise Refused(400, "XAmzContentSHA256Mismatch", message)
    return stated


def check_signed_names(request, signed):
    sent = {name.lower() for name, _ in request.headers}
    needed = {name for name in sent if name.startswith("x-amz-")} | {"host"}
    if signed != sorted(signed) or not needed <= set(signed) or not set(signed) <= sent:
        message = "There were headers present in the request which were not signed"
        raise Refused(403, "AccessDenied", message)
