#!/usr/bin/env python3
"""Zonebeat against its peers: processor time per query, queries per second, latency, memory and start, on the same zone
and the same queries.

usage: queries.py [--peers nsd,knot,bind,pdns] [--mixes abcdno] [--rounds 3] [--seconds 2] [--json FILE]
       queries.py --tcp        over kept TCP connections
       queries.py --workers 2  two workers each, on both cores, beside the load; and zonebeat with one
       queries.py --big        a million instances in 100,000 services

Each server has one worker on one core, the load has another core. In each round every mix is measured on one server
after the other; tables show medians and, in parentheses, zonebeat's value as a part of that server's. The zone is in
zonebeat as registrations, in its peers as a file. `echo` is a server that copies answers of zonebeat's size and knows
no DNS; `echo grouped` joins answers to one client as zonebeat does. Mixes: see workload.py. c and d are asked with
EDNS. Start: from the start of the process to the first right answer; zonebeat finds its registrations in its store.
"""

import argparse
import collections
import json
import os
import socket
import statistics
import tempfile

import load
import peers
import servers
import workload

MIXES = {
    "a": "A of one instance",
    "b": "A of a service",
    "c": "SRV of a service",
    "d": "mixed",
    "n": "no such name",
    "o": "no data",
}
# 128 fit into the receive buffer that the system gives a peer which asks for none.
BURST = ("--clients", 16, "--burst", 32, "--in-flight", 128, "--timeout", 0.25)
INTERLEAVED = ("--clients", 16, "--interleave", "--in-flight", 128, "--timeout", 0.25)
BURST_MIXES = "acd"


def register(server, directory):
    """Registers the whole workload as sessions."""
    connection = servers.Http(server.http_port)
    with open(os.path.join(directory, "sessions.jsonl"), encoding="ascii") as file:
        for line in file:
            row = json.loads(line)
            connection.call("PUT", f"/v1/sessions/{row['session']}", row["body"])


def last_names(options):
    """A host, a service and its SRV name; the last that are registered."""
    service, member, *_ = workload.instance(
        options.services * options.instances - 1, options.services, options.instances
    )
    return [(f"{member}.{service}", "A"), (service, "A"), (f"_{service}._tcp", "SRV")]


def compare(zonebeat, peer, options):
    """Stops when the two do not say the same."""
    for name, rtype in last_names(options):
        name = f"{name}.{workload.ZONE}"
        ours, theirs = servers.dig(zonebeat, name, rtype), servers.dig(peer, name, rtype)
        if ours != theirs or not ours:
            raise SystemExit(f"the answers to {name} {rtype} differ:\nzonebeat {ours}\n{peer.name} {theirs}")


def start_registered(options, directory, question, workers, name):
    """Registers everything once, then starts again on what is stored."""
    home = os.path.join(directory, name.replace(" ", "-"))
    os.mkdir(home)
    first = servers.start_zonebeat(home, workload.ZONE, options.load_core)
    try:
        register(first, directory)
    finally:
        first.stop()
    ports = servers.free_port(), servers.free_port()
    command = servers.zonebeat_command(home, workload.ZONE, options.core, ports, workers)
    server = servers.launch(name, command, home, ports[0], question)
    server.http_port = ports[1]
    return server


def answer_sizes(server, directory, mixes):
    """Octets of zonebeat's answers by octets of the query and by its third octet from the end, which tells the type."""
    found = collections.defaultdict(list)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.settimeout(servers.PATIENCE)
        dns.connect(("127.0.0.1", server.port))
        for mix in mixes:
            with open(os.path.join(directory, f"{mix}.txt"), encoding="ascii") as file:
                lines = [line.split() for line, _ in zip(file, range(2000))]
            for name, rtype in lines:
                packet = servers.query(name, rtype, mix in load.WITH_EDNS)
                dns.send(packet)
                found[len(packet), packet[-3]].append(len(dns.recv(4096)))
    return {kind: round(statistics.median(sizes)) for kind, sizes in found.items()}


def start_all(options, directory, running):
    """zonebeat, its peers, and what cannot be beaten; all of them stay in `running`."""
    name, rtype = last_names(options)[0]
    question = f"{name}.{workload.ZONE}", rtype
    start = {}

    def add(server):
        running.append(server)
        if server.start_seconds is not None:
            row = {"seconds": server.start_seconds, "cpu": server.cpu_seconds(), "memory": server.memory()}
            start[server.name] = row
            print("  {:<14}{:>8.2f} s{:>8.2f} s{:>8.0f} MiB".format(server.name, *row.values()), flush=True)

    print("start: to the first right answer, of CPU until then, resident memory then", flush=True)
    add(start_registered(options, directory, question, options.workers, "zonebeat"))
    if options.workers > 1:
        add(start_registered(options, directory, question, 1, "zonebeat 1"))
    for peer in options.peers:
        add(peers.PEERS[peer](directory, workload.ZONE, options.core, options.workers, question))
        compare(running[0], running[-1], options)
    if not options.tcp and options.workers == 1:
        sizes = answer_sizes(running[0], directory, options.mixes)
        for grouped in (False, True):
            add(peers.start_echo(options.echo, options.core, sizes, grouped))
    return start


def measure_mixes(options, directory, running):
    """Every mix on every server, as much as each answers."""
    measure = lambda server, mix: load.dnsperf(server, mix, directory, options.load_core, options.seconds, options.tcp)
    return load.alternate(running, options.mixes, options.rounds, measure, "tcp" if options.tcp else "udp")


def measure_latency(options, directory, running):
    """The mix d at a rate that all can serve."""
    measure = lambda server, mix: load.burst(
        options.burst, server, mix, directory, options.load_core, options.seconds, *INTERLEAVED, "--rate", options.rate
    )
    return load.alternate(running, "d", options.rounds, measure, f"{options.rate} q/s")["d"]


def measure_bursts(options, directory, running):
    """Saturated by bursts; then interleaved, saturated and at a rate that all can serve."""
    mixes = [mix for mix in BURST_MIXES if mix in options.mixes]
    run = lambda *more: lambda server, mix: load.burst(
        options.burst, server, mix, directory, options.load_core, options.seconds, *more
    )
    bursts = load.alternate(running, mixes, options.rounds, run(*BURST), "bursts")
    single = load.alternate(running, mixes, options.rounds, run(*INTERLEAVED), "interleaved")
    rate = int(0.7 * min(row["qps"] for row in single[mixes[-1]].values()))
    paced = load.alternate(running, mixes[-1:], options.rounds, run(*INTERLEAVED, "--rate", rate), f"{rate} q/s")
    return {"bursts": bursts, "interleaved": single, "paced": paced, "rate": rate}


def tables(result):
    """Everything that was measured, as tables."""
    rows = {f"{mix}: {MIXES[mix]}": found for mix, found in result["mixes"].items()}
    yield load.table("CPU seconds per million answers (zonebeat / this):", rows, "cpu")
    yield load.table("Answers per second (zonebeat / this):", rows, "qps", "{:,.0f}")
    yield load.table("Octets of an answer:", rows, "octets", "{:.0f}", ratio=False)
    yield load.table("Lost in all rounds:", rows, "lost", "{:.0f}", ratio=False)
    if "latency" in result:
        title = f"Latency of mix d at {result['rate']:,} queries per second, us (zonebeat / this):"
        median = load.table(title, {"median": result["latency"]}, "p50_us", "{:.0f}")
        yield median + load.table("", {"p99": result["latency"]}, "p99_us", "{:.0f}").split("\n", 4)[4]
    yield from burst_tables(result["bursts"]) if "bursts" in result else ()
    start = load.table("Start and memory (zonebeat / this):", {"start, s": result["start"]}, "seconds")
    start += load.table("", {"CPU until then, s": result["start"]}, "cpu").split("\n", 4)[4]
    for label, found in (("memory after the start, MiB", result["start"]), ("memory after the load, MiB", result["memory"])):
        start += load.table("", {label: found}, "memory", "{:.0f}").split("\n", 4)[4]
    yield start


def burst_tables(found):
    """What bursts brought."""
    text = ""
    for kind, title in (("bursts", "in bursts of 32"), ("interleaved", "interleaved")):
        rows = found[kind]
        yield load.table(f"Answers per second, {title} (zonebeat / this):", rows, "qps", "{:,.0f}")
        yield load.table(f"CPU seconds per million answers, {title} (zonebeat / this):", rows, "cpu")
        labels = {f"{mix}, {title}": by_name for mix, by_name in rows.items()}
        text += load.table("", labels, "lost", "{:.0f}", ratio=False).split("\n", 4)[4]
    paced = {f"{mix}, interleaved at {found['rate']:,}/s": by_name for mix, by_name in found["paced"].items()}
    last = load.table("Lost in all rounds:", paced, "lost", "{:.0f}", ratio=False)
    wrong = {f"wrong, interleaved at {found['rate']:,}/s": by_name for by_name in found["paced"].values()}
    yield last + text + load.table("", wrong, "wrong", "{:.0f}", ratio=False).split("\n", 4)[4]


def run(options, directory, running):
    queries = 100_000 if options.services * options.instances <= 100_000 else 500_000
    workload.write(directory, options.services, options.instances, queries)
    result = {"machine": load.machine(), "services": options.services, "instances": options.instances}
    result |= {"workers": options.workers, "tcp": options.tcp, "rounds": options.rounds, "rate": options.rate}
    result["start"] = start_all(options, directory, running)
    result["mixes"] = measure_mixes(options, directory, running)
    if not options.tcp and options.workers == 1:
        result["latency"] = measure_latency(options, directory, running)
        if not options.big:
            names = ("zonebeat", "Knot", "NSD", "echo grouped")
            result["bursts"] = measure_bursts(options, directory, [row for row in running if row.name in names])
    result["memory"] = {server.name: {"memory": server.memory()} for server in running if server.start_seconds}
    for text in tables(result):
        print("\n" + text, end="")
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(result, file, indent=1)


def some(text):
    """The servers to compare with."""
    names = [] if text == "none" else text.split(",")
    if unknown := set(names) - set(peers.PEERS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: write none, or some of {','.join(peers.PEERS)}")
    return names


def mixes(text):
    """The mixes to measure."""
    if unknown := set(text) - set(MIXES):
        raise argparse.ArgumentTypeError(f"{''.join(unknown)}: mixes are {''.join(MIXES)}")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--services", type=int)
    parser.add_argument("--instances", type=int, default=10, help="of each service")
    parser.add_argument("--peers", type=some, default=list(peers.PEERS))
    parser.add_argument("--mixes", type=mixes, default="".join(MIXES))
    parser.add_argument("--rate", type=int, default=50_000, help="queries/s of the latency")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--json", help="write everything to this file")
    options = parser.parse_args()
    options.services = options.services or (100_000 if options.big else 2000)
    options.core, options.load_core = ("0", "1") if options.workers == 1 else ("0,1", "0,1")
    options.burst, options.echo = peers.programs("burst", "echo")
    os.sched_setaffinity(0, {int(core) for core in options.load_core.split(",")})
    running = []
    with tempfile.TemporaryDirectory(prefix="zonebeat-bench-") as directory:
        try:
            run(options, directory, running)
        finally:
            for server in running:
                server.stop()


if __name__ == "__main__":
    main()
