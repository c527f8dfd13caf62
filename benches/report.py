#!/usr/bin/env python3
"""Writes the results of `make bench` into docs/performance.md.

usage: report.py [--results target/bench] [--document docs/performance.md]

The document has a pair of comments around each part that is measured: `<!-- NAME -->` and `<!-- end -->`. What stands
between them is replaced by the tables of NAME.json or by the text of NAME.txt; a part without results stays as it is.
`<!-- machine -->` gets the machine, and note.txt if there is one: what was special about this run.
"""

import argparse
import json
import os
import re

import load
import queries
import scale
import servers

PART = re.compile(r"(<!-- ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def provenance(machine):
    """One line that says where the numbers come from."""
    changed = " with changes" if machine["changed"] else ""
    command = re.sub(r" --json \S+", "", machine["command"])
    return f"`{command}`, commit {machine['commit']}{changed}, load average before {machine['load']:.1f}.\n"


def describe(machine, note):
    """The machine, and what else is to be known about the whole run: note.txt."""
    text = f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, loopback.\n"
    if os.path.exists(note):
        with open(note, encoding="utf-8") as file:
            text += "\n" + file.read().strip() + "\n"
    return text


def show_million(result):
    """Registering and two starts."""
    filled = result["registered"]
    rows = [
        ("registered per second, durable", f"{filled['per_second']:,.0f}"),
        ("CPU of the server per registration, us", f"{filled['cpu_us']:.0f}"),
        ("memory after registering, peak, MiB", f"{filled['memory']:.0f}, {filled['peak']:.0f}"),
        ("octets per instance after registering", f"{filled['octets']:.0f}"),
        ("stopping, s", f"{filled['stop_seconds']:.2f}"),
    ]
    for key, label in (("stopped", "a stop"), ("killed", "SIGKILL")):
        row = result[key]
        said = ", ".join(word for word in row["said"] if word not in ("answer", "readyz 200"))
        rows += [
            (f"after {label}: first answer, `/readyz` 200, s", f"{row['answer']:.2f}, {row['ready']:.2f}"),
            (f"after {label}: memory, peak, MiB", f"{row['memory']:.0f}, {row['peak']:.0f}"),
            (f"after {label}: octets per instance", f"{row['octets']:.0f}"),
            (f"after {label}: said before", said or "nothing"),
        ]
    rows.append(("file of the store, MiB", f"{result['file']:.0f}"))
    head = f"| {result['instances']:,} instances, {'lone' if result['lone'] else 'sessions of 200'} | |\n| --- | --- |\n"
    return head + "".join(f"| {label} | {value} |\n" for label, value in rows)


def show(name, result):
    """The tables of a result."""
    if name == "scale":
        return scale.table(result["values"])
    if "registered" in result:
        return show_million(result)
    return "\n".join(queries.tables(result))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", default=os.path.join(servers.ROOT, "target/bench"))
    parser.add_argument("--document", default=os.path.join(servers.ROOT, "docs/performance.md"))
    options = parser.parse_args()

    def replace(match):
        begin, name, end = match.groups()
        path = os.path.join(options.results, name)
        if name == "machine":
            return f"{begin}{describe(load.machine(), os.path.join(options.results, 'note.txt'))}{end}"
        if os.path.exists(f"{path}.json"):
            with open(f"{path}.json", encoding="ascii") as file:
                result = json.load(file)
            return f"{begin}{provenance(result['machine'])}\n{show(name, result)}{end}"
        if os.path.exists(f"{path}.txt"):
            with open(f"{path}.txt", encoding="utf-8") as file:
                text = file.read().strip()
            return f"{begin}{text}\n{end}" if "| ---" in text else f"{begin}```text\n{text}\n```\n{end}"
        print(f"no result for {name}")
        return match.group(0)

    with open(options.document, encoding="utf-8") as file:
        text = file.read()
    with open(options.document, "w", encoding="utf-8") as file:
        file.write(PART.sub(replace, text))


if __name__ == "__main__":
    main()
