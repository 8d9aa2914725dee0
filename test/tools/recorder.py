"""What a stand-in was asked: for tests that count requests, bytes and rounds, and for the wire."""

import dataclasses
import re
import threading


@dataclasses.dataclass
class Record:
    """One request. Header values are not kept, but for Range: a token never ends up in a report."""

    number: int
    connection: int
    method: str
    target: str
    range: str | None
    header_names: list
    started: float
    request_bytes: int = 0  # of the body, once it has been read
    ended: float | None = None  # while it runs
    status: int | None = None  # None: no answer was sent
    response_bytes: int = 0  # of the body, as sent
    faults: list = dataclasses.field(default_factory=list)

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def with_token(self):
        return "authorization" in self.header_names


class Recorder:
    """Records of one stand-in, and its wire where that is wanted. Thread safe."""

    def __init__(self, wire=False):
        self._lock = threading.Lock()
        self._records = []
        self._connections = 0
        self._wire = [] if wire else None

    def begin(self, **fields):
        with self._lock:
            record = Record(number=len(self._records), **fields)
            self._records.append(record)
        return record

    def connected(self):
        with self._lock:
            self._connections += 1
            return self._connections

    def wire(self, connection, sent, data):
        """Keeps bytes of a connection: sent by the stand-in, or received."""
        if self._wire is not None:
            with self._lock:
                self._wire.append((connection, sent, bytes(data)))

    def wire_bytes(self, sent=None):
        """The wire so far, a connection after the other and each direction for itself, so that what
        was sent in two pieces is found as one."""
        with self._lock:
            kept = [part for part in self._wire or [] if sent is None or part[1] == sent]
        kept.sort(key=lambda part: part[:2])
        return b"".join(data for _, _, data in kept)

    def records(self, method=None, path=None, since=0):
        """The records in order of arrival; path is a regular expression."""
        with self._lock:
            records = [dataclasses.replace(r) for r in self._records[since:]]
        return [
            r
            for r in records
            if (method is None or r.method == method) and (path is None or re.search(path, r.path))
        ]

    def clear(self):
        with self._lock:
            self._records = []
            self._connections = 0
            if self._wire is not None:
                self._wire = []

    def summary(self, method=None, path=None):
        """Counts over the records that fit."""
        records = self.records(method, path)
        statuses = {}
        for record in records:
            statuses[str(record.status)] = statuses.get(str(record.status), 0) + 1
        return {
            "requests": len(records),
            "request_bytes": sum(r.request_bytes for r in records),
            "response_bytes": sum(r.response_bytes for r in records),
            "connections": self._connections,
            "at_once": at_once(records),
            "rounds": rounds(records),
            "statuses": statuses,
        }


def at_once(records):
    """The most requests that ran at one time."""
    events = [(r.started, 1) for r in records]
    events += [(r.ended, -1) for r in records if r.ended is not None]
    most = now = 0
    for _, step in sorted(events):
        now += step
        most = max(most, now)
    return most


def rounds(records):
    """Groups of requests of which each began after all before it had ended: what a client that needs
    one answer to ask the next question makes. Requests that wait for a free connection look the same,
    so a test gives the client as many connections as requests, and adds latency."""
    count, end = 0, None
    for record in sorted(records, key=lambda r: r.started):
        if end is None or record.started >= end:
            count += 1
            end = record.ended
        elif record.ended is not None:
            end = max(end, record.ended)
    return count
