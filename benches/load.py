"""The loads: dnsperf and our own burst, each on a core of its own; and tables of medians, as Markdown."""

import json
import os
import re
import statistics
import subprocess
import sys

import servers

WITH_EDNS = "cd"  # mixes that are asked with EDNS


def dnsperf(server, mix, directory, core, seconds, tcp=False):
    """As many queries as are answered, from 16 sockets or over 8 connections, with 256 in flight together.

    Knot's queue of new connections has room for ten; the eleventh would wait for a second.
    """
    clients = "8" if tcp else "16"
    command = ["taskset", "-c", core, "dnsperf", "-s", "127.0.0.1", "-p", str(server.port)]
    command += ["-d", os.path.join(directory, f"{mix}.txt"), "-l", str(seconds), "-c", clients, "-q", "256", "-T", "1"]
    command += ["-t", "1"] + (["-e"] if mix in WITH_EDNS else []) + (["-m", "tcp"] if tcp else [])
    used = server.cpu_seconds()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = server.cpu_seconds() - used
    number = lambda pattern: float(re.search(rf"{pattern}\s+([\d.]+)", output).group(1))
    answers = number("Queries completed:")
    if not answers:
        raise SystemExit(f"{server.name} answered nothing:\n{output}")
    return {
        "cpu": used / answers * 1e6,
        "qps": number("Queries per second:"),
        "lost": number("Queries lost:"),
        "octets": number(r"request \d+, response"),
    }


def burst(program, server, mix, directory, core, seconds, *options):
    """Bursts, or what else the options say; the fields are those of its report, and `cpu` as above."""
    command = ["taskset", "-c", core, program, "--json", "--server", f"127.0.0.1:{server.port}"]
    command += ["--queries", os.path.join(directory, f"{mix}.txt"), "--seconds", str(seconds)]
    command += (["--edns"] if mix in WITH_EDNS else []) + [str(option) for option in options]
    used = server.cpu_seconds()
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    used = server.cpu_seconds() - used
    row = json.loads(output.splitlines()[-1])
    return row | {"cpu": used / max(row["answers"], 1) * 1e6, "qps": row["per_second"]}


def medians(rows):
    """Of each number in the rows; what was lost or wrong is added up."""
    summed = ("lost", "wrong", "late")
    keys = [key for key, value in rows[0].items() if isinstance(value, (int, float))]
    pick = lambda key: sum if key in summed else statistics.median
    return {key: pick(key)(row[key] for row in rows) for key in keys}


def alternate(targets, mixes, rounds, measure, label):
    """Measures every mix on one server after the other, in rounds; medians by mix and name of the server."""
    rows = {}
    for number in range(rounds):
        for mix in mixes:
            for server in targets:
                row = measure(server, mix)
                rows.setdefault(mix, {}).setdefault(server.name, []).append(row)
                text = f"{row['cpu']:>8.2f} CPU s/M {row['qps']:>9,.0f} q/s {row['lost']:>6.0f} lost"
                print(f"  {label} {number + 1}/{rounds}  {mix}  {server.name:<14}{text}", flush=True)
    return {mix: {name: medians(found) for name, found in by_name.items()} for mix, by_name in rows.items()}


def table(title, rows, key, form="{:.2f}", ours="zonebeat", ratio=True):
    """A table as Markdown. `rows` maps what stands at the left to values by server; a value that is there for some
    servers only is left out for the others. Behind each value: ours as a part of it."""
    names = list(dict.fromkeys(name for by_name in rows.values() for name in by_name))
    lines = [title, "", "| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for label, by_name in rows.items():
        cells = []
        for name in names:
            value = by_name.get(name, {}).get(key)
            cell = "" if value is None else form.format(value)
            if ratio and name != ours and value and ours in by_name:
                cell += f" ({by_name[ours][key] / value:.2f})"
            cells.append(cell)
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def machine():
    """What to quote with every number."""
    git = lambda *words: subprocess.run(["git", *words], cwd=servers.ROOT, capture_output=True, text=True, check=False)
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    return {
        "commit": git("rev-parse", "--short", "HEAD").stdout.strip() or "unknown",
        "changed": bool(git("status", "--porcelain", "--untracked-files=no", "src", "Cargo.lock").stdout.strip()),
        "processor": model.group(1) if model else os.uname().machine,
        "cores": os.cpu_count(),
        "kernel": ".".join(os.uname().release.split(".")[:2]),
        "load": os.getloadavg()[0],
        "command": " ".join(["benches/" + os.path.basename(sys.argv[0]), *sys.argv[1:]]),
    }
