"""Writes the figures of a run into docs/performance.md and draws recall over queries a second."""

import math

import report
from places import REPO

PAGE = REPO / "docs/performance.md"
BEGIN = "<!-- Figures: written by `make bench-docs`. -->\n"
END = "<!-- End of figures. -->\n"

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 40, 50
RECALL = (0.85, 1.0)
COLORS = {
    "core": "#c0392b",
    "vdb through SQL, main": "#e67e22",
    "vdb through SQL, extended": "#b7950b",
    "hnswlib": "#1f618d",
    "faiss-hnsw": "#27ae60",
    "faiss-ivfpq": "#7d3c98",
    "exact": "#555555",
}
LABELS = {
    "core": "vdb, in process",
    "vdb through SQL, main": "vdb, SQL, inline",
    "vdb through SQL, extended": "vdb, SQL, default",
    "faiss-hnsw": "Faiss HNSW",
    "faiss-ivfpq": "Faiss IVF-PQ",
    "exact": "exact scan",
}


def write(results):
    curves = results["curves"]
    for name, peers in curves.items():
        plot = REPO / f"docs/recall-{name}.svg"
        plot.write_text(svg(name, peers), encoding="utf-8")
    figures = ["", *[f"- {note}" for note in results["notes"]], ""]
    figures += [f"![recall@10 over queries a second: {name}](recall-{name}.svg)" for name in curves]
    figures += markdown(results["entries"])
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    PAGE.write_text(head + BEGIN + "\n".join(figures) + "\n\n" + END + tail, encoding="utf-8")


def markdown(entries):
    section = None
    for entry in entries:
        if entry["section"] != section:
            section = entry["section"]
            yield from ("", f"### {section}", "")
            yield from ("| | measured | target | |", "|---|---:|---:|---|")
        value = f"{report.number(entry['value'])} {entry['unit']}".rstrip()
        goal = report.target(entry).replace(">=", "≥").replace("<=", "≤")
        yield f"| {entry['what']} | {value} | {goal} | {report.verdict(entry).lower()} |"


def svg(name, peers):
    """Points that no other of the same peer beats; the axis of queries a second is logarithmic."""
    lines = {}
    for peer, content in peers.items():
        front = report.frontier(content["points"])
        lines[peer] = [(r, 1e6 / us) for r, us in front if r >= RECALL[0]]
    lines = {peer: points for peer, points in lines.items() if points}
    rates = [rate for points in lines.values() for _, rate in points]
    low = 10 ** math.floor(math.log10(min(rates)))
    high = 10 ** math.ceil(math.log10(max(rates)))

    def x(recall):
        return LEFT + (recall - RECALL[0]) / (RECALL[1] - RECALL[0]) * (WIDTH - LEFT - RIGHT)

    def y(rate):
        share = math.log(rate / low) / math.log(high / low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(LEFT, 22, f"{name}: queries a second over recall@10", size=14),
    ]
    for step in range(4):
        recall = RECALL[0] + 0.05 * step
        out += grid(x(recall), y(low), x(recall), y(high))
        out.append(text(x(recall), y(low) + 18, f"{recall:.2f}", "middle"))
    rate = low
    while rate <= high:
        out += grid(x(RECALL[0]), y(rate), x(RECALL[1]), y(rate))
        out.append(text(LEFT - 8, y(rate) + 4, f"{rate:,.0f}", "end"))
        rate *= 10
    for number, (peer, points) in enumerate(lines.items()):
        color = COLORS.get(peer, "black")
        path = " ".join(f"{x(r):.1f},{y(rate):.1f}" for r, rate in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        for r, rate in points:
            out.append(f'<circle cx="{x(r):.1f}" cy="{y(rate):.1f}" r="3" fill="{color}"/>')
        at = TOP + 10 + 20 * number
        out.append(f'<circle cx="{WIDTH - RIGHT + 20}" cy="{at - 4}" r="4" fill="{color}"/>')
        out.append(text(WIDTH - RIGHT + 30, at, LABELS.get(peer, peer)))
    return "\n".join([*out, "</svg>", ""])


def text(x, y, content, anchor="start", size=12):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{content}</text>'
    )


def grid(x1, y1, x2, y2):
    return [f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>']
