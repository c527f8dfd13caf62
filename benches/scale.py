#!/usr/bin/env python3
"""What a lookup, a transition and a beat cost at 1,000, 10,000, 100,000 and 1,000,000 instances: docs/scale.svg.

usage: scale.py [--sizes 1000,10000,100000,1000000] [--json docs/scale.json] [--svg docs/scale.svg]
       scale.py --from docs/scale.json   draws again, and measures nothing

Runs those of the benches answer, compile and leases that Cargo.toml has, and reads their lines: `name size value unit`,
and what compile and leases print else. The plot has the sizes on a logarithmic axis and the cost on a linear one: what
grows with the logarithm is a straight line, what bends upwards is a defect. The same numbers give the same file. The
table for docs/performance.md is printed.
"""

import argparse
import json
import os
import re
import subprocess

import load
import servers

# Benches, and whether one run has one size, its argument.
BENCHES = {"answer": True, "compile": True, "leases": False}
NANOSECONDS = {"octets": 1, "ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
LINE = re.compile(r"^([a-z][\w/.-]*) (\d+) ([\d.]+) (ns|us|ms|s|octets)$")
# What leases prints: sessions, ns of a beat, us of a tick, octets of a lease.
LEASES = re.compile(r"^leases (\d+) ([\d.]+) ([\d.]+) ([\d.]+)$")
# What compile prints: how many transitions are compiled at once, us of each at least and as the median.
TRANSITIONS = re.compile(r"^(\d+) +[\d.]+ +([\d.]+)$")

# Title, unit, and of each line its name and what the legend says.
PANELS = [
    (
        "Lookup: decode, answer, encode",
        "ns",
        [
            ("lookup/a", "A of an instance"),
            ("lookup/b", "A of a service"),
            ("lookup/c", "SRV of a service"),
            ("lookup/no-such-name", "no such name"),
            ("lookup/no-such-type", "no data"),
        ],
    ),
    (
        "Transition: compile the change",
        "us",
        [
            ("transition/1", "one at a time"),
            ("transition/100", "100 at once, each"),
            ("transition/1000", "1,000 at once, each"),
        ],
    ),
    ("Beat of a lone session", "ns", [("beat", "a beat")]),
    ("Tick, ten a second, nobody lapses", "us", [("tick", "a tick")]),
]

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 250, 70, 44, 230, 46
COLOURS = ("#3b7dd8", "#d9662b", "#2f9e5b", "#a65fc2", "#c9a100", "#c94a5a")
STYLE = """
text { font: 12px sans-serif; fill: #24292f; }
.title { font-size: 14px; font-weight: bold; }
.axis { stroke: #57606a; fill: none; }
.grid { stroke: #8c959f; stroke-opacity: 0.35; fill: none; }
.line { stroke-width: 2; fill: none; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .axis { stroke: #9ea7b3; } }
"""


def read(bench, size, output):
    """Name, size, value and unit of everything that a bench printed."""
    for line in output.splitlines():
        if match := LINE.match(line):
            yield match.groups()
        elif match := LEASES.match(line):
            number, beat, tick, octets = match.groups()
            yield from (("beat", number, beat, "ns"), ("tick", number, tick, "us"))
            yield "octets/leases", number, octets, "octets"
        elif bench == "compile" and (match := TRANSITIONS.match(line)):
            yield f"transition/{match.group(1)}", size, match.group(2), "us"


def measure(sizes):
    """Nanoseconds by name and size; octets for what is called octets/..."""
    with open(os.path.join(servers.ROOT, "Cargo.toml"), encoding="utf-8") as file:
        known = re.findall(r'^\[\[bench\]\]\nname = "(.*)"', file.read(), re.MULTILINE)
    values = {}
    for bench in (name for name in BENCHES if name in known):
        for size in sizes if BENCHES[bench] else [None]:
            command = ["cargo", "bench", "--quiet", "--locked", "--bench", bench, "--"] + ([str(size)] if size else [])
            print(" ".join(command), flush=True)
            output = subprocess.run(command, cwd=servers.ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
            found = list(read(bench, str(size), output))
            if not found:
                raise SystemExit(f"the bench {bench} printed nothing that scale.py knows:\n{output}")
            for name, number, value, unit in found:
                values.setdefault(name, {})[number] = float(value) * NANOSECONDS[unit]
    return values


def ceiling(value):
    """A round number above the value, and how many steps of the axis it has."""
    power = 1
    while True:
        for factor, steps in ((1, 5), (2, 4), (4, 4), (5, 5)):
            if factor * power >= value:
                return factor * power, steps
        power *= 10


def panel(top, title, unit, lines, sizes):
    """One diagram, `lines` are label and values by size."""
    logs = [len(str(size)) - 1 for size in sizes]
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    most, steps = ceiling(max(max(values.values()) for _, values in lines))
    at_x = lambda size: LEFT + width * (log10(size) - logs[0]) / max(logs[-1] - logs[0], 1)
    at_y = lambda value: top + TOP + height * (1 - value / most)
    out = [f'<text class="title" x="{LEFT}" y="{top + 24}">{title}</text>']
    for step in range(steps + 1):
        value = most * step / steps
        out.append(f'<path class="grid" d="M{LEFT} {at_y(value):.1f}h{width}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at_y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    bottom = top + TOP + height
    out.append(f'<path class="axis" d="M{LEFT} {top + TOP}V{bottom}H{LEFT + width}"/>')
    out.append(f'<text x="{LEFT - 8}" y="{top + TOP - 12}" text-anchor="end">{unit}</text>')
    for size in sizes:
        out.append(f'<text x="{at_x(size):.1f}" y="{bottom + 18}" text-anchor="middle">{size:,}</text>')
    out.append(f'<text x="{LEFT + width / 2:.0f}" y="{bottom + 36}" text-anchor="middle">instances</text>')
    for index, (label, values) in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        points = [(at_x(size), at_y(value)) for size, value in sorted(values.items())]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        out.append(f'<path class="line" stroke="{colour}" d="M{path}"/>')
        out += [f'<circle fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points]
        y = top + TOP + 8 + 20 * index
        out.append(f'<path class="line" stroke="{colour}" d="M{WIDTH - RIGHT + 16} {y}h20"/>')
        out.append(f'<text x="{WIDTH - RIGHT + 42}" y="{y + 4}">{label}</text>')
    return out


def log10(size):
    """Of a power of ten exactly, so that the drawing does not depend on the machine."""
    digits = len(str(size)) - 1
    return digits + (size / 10**digits - 1) / 9


def draw(values):
    """The whole drawing."""
    sizes = sorted({int(size) for by_size in values.values() for size in by_size})
    body, top = [], 0
    for title, unit, names in PANELS:
        lines = [
            (label, {int(size): value / NANOSECONDS[unit] for size, value in values[name].items()})
            for name, label in names
            if name in values
        ]
        if lines:
            body += panel(top, title, unit, lines, sizes)
            top += HEIGHT
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" role="img">'
    title = "<title>What a lookup, a transition and a beat cost by the number of instances</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *body, "</svg>"]) + "\n"


def table(values):
    """The table for docs/performance.md."""
    sizes = sorted({int(size) for by_size in values.values() for size in by_size})
    text = "| instances | " + " | ".join(f"{size:,}" for size in sizes) + " |\n" + "| --- " * (len(sizes) + 1) + "|\n"
    for name, by_size in values.items():
        cells = [f"{by_size[str(size)]:,.0f}" if str(size) in by_size else "" for size in sizes]
        unit = "octets each" if name.startswith("octets/") else "ns"
        text += f"| {name.removeprefix('octets/')}, {unit} | " + " | ".join(cells) + " |\n"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--from", dest="source", help="draw what is in this file")
    parser.add_argument("--json", default=os.path.join(servers.ROOT, "docs/scale.json"))
    parser.add_argument("--svg", default=os.path.join(servers.ROOT, "docs/scale.svg"))
    options = parser.parse_args()
    if options.source:
        with open(options.source, encoding="ascii") as file:
            result = json.load(file)
    else:
        result = {"machine": load.machine(), "values": measure([int(size) for size in options.sizes.split(",")])}
        with open(options.json, "w", encoding="ascii") as file:
            file.write(json.dumps(result, indent=1) + "\n")
    print(table(result["values"]))
    with open(options.svg, "w", encoding="ascii") as file:
        file.write(draw(result["values"]))


if __name__ == "__main__":
    main()
