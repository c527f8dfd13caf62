#!/usr/bin/env python3
"""CPU seconds per million answered queries: zonebeat against NSD, the same zone, the same load.

usage: queries.py [--rounds 3] [--seconds 5] [--services 2000] [--instances 10] [--peers nsd] (or nsd,knot, or none)

Each server has one worker on one core, dnsperf has another core. In each round every mix is measured on one server
after the other; the table shows medians. What counts is the processor time per query, because queries per second
depend on what else the machine does. Mixes: see workload.py. c and d are asked with EDNS.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile

import servers
import workload

SERVER_CORE, LOAD_CORE = 0, 1
MIXES = {"a": "A of one instance", "b": "A of a service", "c": "SRV of a service", "d": "mixed"}
WITH_EDNS = "cd"
PEERS = {"nsd": servers.start_nsd, "knot": servers.start_knot}


def register(server, directory):
    """Registers the whole workload as sessions."""
    connection = servers.Http(server.http_port)
    with open(os.path.join(directory, "sessions.jsonl"), encoding="ascii") as file:
        for line in file:
            row = servers.json.loads(line)
            connection.call("PUT", f"/v1/sessions/{row['session']}", row["body"])


def compare(zonebeat, peer, services, instances):
    """Stops when the two do not say the same."""
    last = list(workload.instances(services, instances))[-1]
    for name, rtype in ((f"{last[1]}.{last[0]}", "A"), (last[0], "A"), (f"_{last[0]}._tcp", "SRV")):
        name = f"{name}.{workload.ZONE}"
        ours, theirs = servers.dig(zonebeat, name, rtype), servers.dig(peer, name, rtype)
        if ours != theirs or not ours:
            raise SystemExit(f"the answers to {name} {rtype} differ:\nzonebeat {ours}\n{peer.name} {theirs}")


def measure(server, mix, directory, seconds):
    """CPU seconds per million answers, answers per second, queries without an answer."""
    command = ["taskset", "-c", str(LOAD_CORE), "dnsperf", "-s", "127.0.0.1", "-p", str(server.port)]
    command += ["-d", os.path.join(directory, f"{mix}.txt"), "-l", str(seconds), "-c", "16", "-q", "256", "-T", "1"]
    command += ["-t", "1"] + (["-e"] if mix in WITH_EDNS else [])
    before = server.cpu_seconds()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = server.cpu_seconds() - before
    number = lambda label: float(re.search(rf"{label}:\s+([\d.]+)", output).group(1))
    answers = number("Queries completed")
    return used / answers * 1e6, number("Queries per second"), number("Queries lost")


def show(results, names):
    """The table, with medians of all rounds."""
    print(f"\n{'mix':<22}" + "".join(f"{name + ' CPU s/M':>17}{'q/s':>10}{'lost':>6}" for name in names) + "".join(f"{'/ ' + name:>8}" for name in names[1:]))
    for mix, text in MIXES.items():
        line = f"{mix}  {text:<19}"
        medians = []
        for name in names:
            rounds = results[name, mix]
            cpu, rate = (statistics.median(row[column] for row in rounds) for column in (0, 1))
            medians.append(cpu)
            line += f"{cpu:>17.2f}{rate:>10,.0f}{sum(row[2] for row in rounds):>6.0f}"
        print(line + "".join(f"{medians[0] / median:>8.2f}" for median in medians[1:]))
    print("\nCPU s/M: user and system seconds of the server per million answers. / NSD: zonebeat's as a part of NSD's.")


def run(options, directory, running):
    workload.write(directory, options.services, options.instances, 100_000)
    running.append(servers.start_zonebeat(directory, workload.ZONE, SERVER_CORE))
    register(running[0], directory)
    for peer in options.peers:
        running.append(PEERS[peer](directory, workload.ZONE, SERVER_CORE))
        compare(running[0], running[-1], options.services, options.instances)
    names = [server.name for server in running]
    results = {(name, mix): [] for name in names for mix in MIXES}
    for number in range(options.rounds):
        for mix in MIXES:
            for server in running:
                row = measure(server, mix, directory, options.seconds)
                results[server.name, mix].append(row)
                print(f"round {number + 1}  {mix}  {server.name:<9}{row[0]:>7.2f} CPU s/M{row[1]:>10,.0f} q/s", flush=True)
    show(results, names)


def peers(text):
    """The servers to compare with."""
    names = [] if text == "none" else text.split(",")
    if unknown := set(names) - set(PEERS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: write none, or some of {','.join(PEERS)}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--instances", type=int, default=10)
    parser.add_argument("--peers", type=peers, default=["nsd"])
    options = parser.parse_args()
    running = []
    with tempfile.TemporaryDirectory(prefix="zonebeat-bench-") as directory:
        try:
            run(options, directory, running)
        finally:
            for server in running:
                server.stop()


if __name__ == "__main__":
    main()
