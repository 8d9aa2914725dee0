"""Faults that a stand-in commits: on command, or by seed.

A rule names a kind and says which requests it is for:

    rules.add("status", status=503, method="GET", path=r"^/z", times=2)
    rules.add("flip", offset=70000, bit=3, times=None)        # every answer that holds that byte
    rules.seed(7, chance=0.1, kinds=["reset", "cut", {"kind": "stall", "seconds": 2}])

Which requests: `method`, `path` (a regular expression, searched in the target without its query),
`query` (the same, of the query), `skip` (so many that fit go by first), `times` (so many are then hit; None: all), `kept_alive` (only
requests that are not the first of their connection), `ranged` (only those with a Range).

Kinds, with what they take:

    status             status, text, retry_after        an answer without doing the work
    disk_full                                           what a node says when its disk is full
    wrong_cid                                           an upload's answer names other bytes
    ignore_range                                        200 and everything, for a Range
    wrong_content_range  what = start | total | none    206 that says it is something else
    cut                at, reset                        body and connection end after `at` bytes
    truncate           at                               the same, but Content-Length agrees with it
    flip               offset, bit                      one bit of the object (not the answer) is wrong
    other_object                                        the bytes of another object in the same place
    older_object                                        those of what was there before
    redirect_loop                                       307 to the same address
    redirect           to                               307 to the same path below another address
    stall              at, seconds, upload_at           silence: before the head, or after `at` bytes
    slow_first_byte    seconds
    reset              after, upload_at                 RST instead of an answer
    close              after, upload_at                 FIN instead of an answer

`after`: the work is done first, and only its answer is lost. `upload_at`: it happens when so many
bytes of the request's body have been read, and nothing is done.

What a seed chooses depends on the request (method, target, Range, how often it came), not on the order
in which threads bring it: one seed, one set of faults.
"""

import dataclasses
import hashlib
import re
import threading

KINDS = {
    "status": {"status": 500, "text": "", "retry_after": None},
    "disk_full": {},
    "wrong_cid": {},
    "ignore_range": {},
    "wrong_content_range": {"what": "start"},
    "cut": {"at": 0, "reset": False},
    "truncate": {"at": 0},
    "flip": {"offset": 0, "bit": 0},
    "other_object": {},
    "older_object": {},
    "redirect_loop": {},
    "redirect": {"to": ""},
    "stall": {"at": None, "seconds": None, "upload_at": None},
    "slow_first_byte": {"seconds": 1.0},
    "reset": {"after": False, "upload_at": None},
    "close": {"after": False, "upload_at": None},
}
SELECTORS = {
    "method": None,
    "path": None,
    "query": None,
    "skip": 0,
    "times": 1,
    "kept_alive": False,
    "ranged": False,
}
# What a seed may choose where it is not told: all that ends soon and needs no second server.
SEEDED = ["status", "ignore_range", "wrong_content_range", "cut", "truncate", "flip", "other_object"]
SEEDED += ["older_object", "redirect_loop", "slow_first_byte", "reset", "close"]
SEEDED_STATUSES = [403, 404, 409, 413, 429, 500, 503]


@dataclasses.dataclass
class Rule:
    kind: str
    arguments: dict
    selectors: dict
    seen: int = 0
    hit: int = 0

    def fits(self, request):
        """True where the request is one that the rule is for; counting is take()'s."""
        s = self.selectors
        if s["method"] is not None and s["method"] != request.method:
            return False
        if s["path"] is not None and not re.search(s["path"], request.path):
            return False
        if s["query"] is not None and not re.search(s["query"], request.target.partition("?")[2]):
            return False
        if s["kept_alive"] and request.number_on_connection == 0:
            return False
        if s["ranged"] and request.range is None:
            return False
        if self.kind == "flip":
            first, last = request.span()
            return request.method == "GET" and first <= self.arguments["offset"] <= last
        return True

    def take(self, request):
        """fits(), and it is this request's turn."""
        s = self.selectors
        if s["times"] is not None and self.hit >= s["times"]:
            return False
        if not self.fits(request):
            return False
        self.seen += 1
        if self.seen <= s["skip"]:
            return False
        self.hit += 1
        return True


@dataclasses.dataclass(frozen=True)
class Fault:
    """What one request is to suffer."""

    kind: str
    arguments: dict

    def __getattr__(self, name):
        try:
            return self.arguments[name]
        except KeyError:
            raise AttributeError(name) from None


def make_rule(kind, options):
    """A rule from add()'s arguments; ValueError names what is not known."""
    if kind not in KINDS:
        raise ValueError(f"unknown fault {kind}; faults: {' '.join(KINDS)}")
    unknown = set(options) - set(KINDS[kind]) - set(SELECTORS)
    if unknown:
        raise ValueError(f"fault {kind} takes no {sorted(unknown)[0]}")
    arguments = {name: options.get(name, default) for name, default in KINDS[kind].items()}
    selectors = {name: options.get(name, default) for name, default in SELECTORS.items()}
    for name in ("path", "query"):
        if selectors[name] is not None:
            re.compile(selectors[name])
    return Rule(kind, arguments, selectors)


class Rules:
    """The faults of one stand-in. Thread safe."""

    def __init__(self):
        self._lock = threading.Lock()
        self._rules = []
        self._seed = None
        self._counts = {}

    def add(self, kind, **options):
        """Adds a rule; returns it. Its `hit` says how many requests it has hit."""
        rule = make_rule(kind, options)
        with self._lock:
            self._rules.append(rule)
        return rule

    def seed(self, seed, chance, kinds=None, path=None):
        """From now on each request suffers, with this chance, one of kinds: names, or {"kind": name,
        and arguments that are then not chosen}."""
        kinds = [{"kind": kind} if isinstance(kind, str) else dict(kind) for kind in kinds or SEEDED]
        chosen = [(kind.pop("kind"), kind) for kind in kinds]
        for kind, arguments in chosen:
            make_rule(kind, arguments)
        with self._lock:
            self._seed = (seed, chance, chosen, path)
            self._counts = {}

    def clear(self):
        with self._lock:
            self._rules = []
            self._seed = None

    def hits(self):
        """[(kind, how many requests it has hit)] of the rules added."""
        with self._lock:
            return [(rule.kind, rule.hit) for rule in self._rules]

    def choose(self, request):
        """The faults of a request: every rule whose turn it is, then the seed's."""
        with self._lock:
            faults = [Fault(r.kind, r.arguments) for r in self._rules if r.take(request)]
            if self._seed is not None:
                chosen = self._by_seed(request)
                faults += [chosen] if chosen else []
        return faults

    def _by_seed(self, request):
        seed, chance, kinds, path = self._seed
        if path is not None and not re.search(path, request.path):
            return None
        what = (request.method, request.target, request.range)
        count = self._counts[what] = self._counts.get(what, 0) + 1
        digest = hashlib.sha256(repr((seed, what, count)).encode()).digest()
        if int.from_bytes(digest[:4], "big") >= chance * 2**32:
            return None
        kind, fixed = kinds[digest[4] % len(kinds)]
        drawn = draw(kind, request, int.from_bytes(digest[5:9], "big"), digest[9])
        return Fault(kind, KINDS[kind] | drawn | fixed)


def draw(kind, request, number, other):
    """Arguments of a kind by two random numbers, the second below 256."""
    if kind == "status":
        return {"status": SEEDED_STATUSES[number % len(SEEDED_STATUSES)], "text": "by seed"}
    if kind in ("cut", "truncate"):
        return {"at": number % 4096}
    if kind == "flip":
        first, last = request.span()
        return {"offset": first + number % min(65536, last - first + 1), "bit": other % 8}
    if kind == "slow_first_byte":
        return {"seconds": number % 300 / 1000}
    if kind in ("reset", "close"):
        return {"after": other % 2 == 1}
    return {}
