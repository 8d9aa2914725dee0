"""What was measured, against what was aimed at; one table on the terminal, the same in JSON."""

import json
import math

from places import BUILD, RESULTS


class Report:
    def __init__(self):
        self.entries = []
        self.curves = {}
        self.notes = []

    def add(self, section, what, value, unit="", at_least=None, at_most=None):
        """One figure, with the target it has to meet if there is one."""
        ok = None
        if at_least is not None:
            ok = value >= at_least
        if at_most is not None:
            ok = value <= at_most
        entry = {"section": section, "what": what, "value": value, "unit": unit}
        entry |= {"at_least": at_least, "at_most": at_most, "ok": ok}
        self.entries.append(entry)
        print("   " + line(entry), flush=True)
        self.save()

    def note(self, text):
        self.notes.append(text)
        print(f"   note: {text}", flush=True)
        self.save()

    def save(self):
        BUILD.mkdir(parents=True, exist_ok=True)
        content = {"entries": self.entries, "curves": self.curves, "notes": self.notes}
        RESULTS.write_text(json.dumps(content, indent=1))

    def print(self):
        print("\n" + "\n".join(table(self.entries)))
        judged = [entry for entry in self.entries if entry["ok"] is not None]
        missed = sum(not entry["ok"] for entry in judged)
        print(f"\n{len(judged) - missed} targets met, {missed} missed.")


def number(value):
    if value is None:
        return ""
    if not math.isfinite(value):
        return "-"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def target(entry):
    if entry["at_least"] is not None:
        return f">= {number(entry['at_least'])}"
    if entry["at_most"] is not None:
        return f"<= {number(entry['at_most'])}"
    return ""


def verdict(entry):
    return {None: "", True: "ok", False: "MISSED"}[entry["ok"]]


def line(entry):
    value = f"{number(entry['value'])} {entry['unit']}".rstrip()
    return f"{entry['what']:<66} {value:>16}  {target(entry):>12}  {verdict(entry)}".rstrip()


def table(entries):
    """Lines of the whole table, by section."""
    section = None
    for entry in entries:
        if entry["section"] != section:
            section = entry["section"]
            yield ""
            yield section
        yield "   " + line(entry)


def frontier(points):
    """The points (recall, us) that no other beats in both, by growing recall."""
    best, result = math.inf, []
    for point in sorted(points, key=lambda p: (-p["recall"], p["us"])):
        if point["us"] < best:
            best = point["us"]
            result.append((point["recall"], point["us"]))
    return result[::-1]


def time_at(points, recall, nearest=False):
    """Microseconds at a recall, interpolated on a logarithmic scale. Beyond the last point: not a
    number, or that point's time with `nearest`."""
    front = frontier(points)
    for (low, low_us), (high, high_us) in zip(front, front[1:]):
        if low <= recall <= high:
            share = (recall - low) / (high - low)
            return math.exp(math.log(low_us) * (1 - share) + math.log(high_us) * share)
    if front and front[0][0] >= recall:
        return front[0][1]  # even the quickest finds more
    return front[-1][1] if nearest else math.nan
