#!/usr/bin/env python3
"""Where the processor time of an answer goes: the release server under load, sampled by perf.

usage: cycles.py [--mix d] [--seconds 5] [--bursts] [--top 12]

dnsperf saturates one worker, or with --bursts our own load. Shown are the parts of all samples: the kernel while it
receives, while it sends, and else; our code by module; then the dearest functions of our own. perf needs the right to
sample the kernel (root, or kernel.perf_event_paranoid at most 1).
"""

import argparse
import collections
import os
import re
import subprocess
import tempfile

import load
import peers
import queries
import servers
import workload

SENDS, RECEIVES = ("sys_sendmmsg", "sys_sendmsg"), ("sys_recvmmsg", "sys_recvmsg")
MODULES = re.compile(r"zonebeat::((?:wire::(?:udp|rate)|[a-z]+)(?:::[a-z_]+)?)")


def samples(path):
    """The stacks of all samples, innermost function first."""
    command = ["perf", "script", "-i", path, "-F", "ip,sym,dso"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for block in output.split("\n\n"):
        stack = [line.strip().split(" ", 1)[-1] for line in block.splitlines() if line.strip()]
        if stack:
            yield stack


def classify(stack):
    """Which part of the work a sample belongs to."""
    called = lambda names: any(name in frame for frame in stack for name in names)
    if "kernel" in stack[0] or "[unknown]" in stack[0] and called(("do_syscall_64", "entry_SYSCALL")):
        if called(SENDS):
            return "kernel: send"
        return "kernel: receive" if called(RECEIVES) else "kernel: else"
    if found := MODULES.search(stack[0]):
        return f"ours: {found.group(1)}"
    return "ours: copying" if "mem" in stack[0] else "ours: else"


def sample(options, server, directory, program):
    """Runs the load and samples the server meanwhile."""
    path = os.path.join(directory, "perf.data")
    record = ["perf", "record", "-q", "-g", "-F", "1999", "-o", path, "-p", str(server.process.pid)]
    with subprocess.Popen(record, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as perf:
        if options.bursts:
            row = load.burst(program, server, options.mix, directory, "1", options.seconds, *queries.BURST)
        else:
            row = load.dnsperf(server, options.mix, directory, "1", options.seconds)
        perf.send_signal(2)
        perf.wait(servers.PATIENCE)
    print(f"mix {options.mix}: {row['cpu']:.2f} CPU s per million answers, {row['qps']:,.0f} q/s")
    return path


def show(stacks, top):
    parts, functions = collections.Counter(), collections.Counter()
    for stack in stacks:
        part = classify(stack)
        parts[part] += 1
        if part.startswith("ours"):
            functions[re.sub(r"\+0x[0-9a-f]+|::h[0-9a-f]{16}| \(.*", "", stack[0])] += 1
    total = sum(parts.values())
    for part in [part for part, count in parts.items() if part.startswith("ours: ") and count < total / 100]:
        parts["ours: else"] += parts.pop(part) if part != "ours: else" else 0
    print(f"\n| part | % of {total:,} samples |\n| --- | --- |")
    for part, count in sorted(parts.items(), key=lambda row: (row[0].split(":")[0], -row[1])):
        print(f"| {part} | {count / total * 100:.1f} |")
    print("\n| function of ours | % |\n| --- | --- |")
    for name, count in functions.most_common(top):
        print(f"| `{name}` | {count / total * 100:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", default="d")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--bursts", action="store_true")
    parser.add_argument("--top", type=int, default=12)
    options = parser.parse_args()
    (program,) = peers.programs("burst")
    with tempfile.TemporaryDirectory(prefix="zonebeat-bench-") as directory:
        workload.write(directory, 2000, 10, 100_000)
        server = servers.start_zonebeat(directory, workload.ZONE, "0")
        try:
            queries.register(server, directory)
            path = sample(options, server, directory, program)
        finally:
            server.stop()
        show(samples(path), options.top)


if __name__ == "__main__":
    main()
