#!/usr/bin/env python3
"""A million instances: registering them, memory, and the start from the store.

usage: million.py [--instances 1000000] [--lone] [--connections 64] [--json FILE] [--judge]

Instances are registered in sessions of 200, one request after the other, or with --lone one by one, each with a PUT
of its own over kept connections. Every acknowledgement means that the registration is on disk (fsync) and published.
Then the server is stopped, started, killed (SIGKILL) and started again, each time on the same data. From the start of
the process on, it is asked every few milliseconds: for the last instance over DNS, and for /readyz over HTTP. What it
says before it is ready is shown: it has to be SERVFAIL with an EDE, and 503; never "no such name".

Octets per instance after registering are the growth of resident memory, after a start all of it. In the end it says
whether the bars were held: 500 MB (1 MB is 1,000,000 octets) resident at any time, ready 5 s after the start of the
process. With --judge it fails when one was not.
"""

import argparse
import collections
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

import load
import registrations
import servers
import workload

SERVER_CORE, LOAD_CORE = "0", 1
PER_SERVICE = 10
MOST_MEMORY, MOST_SECONDS = 500e6, 5.0  # of a million instances in 100,000 services
RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


class Clock:
    """What a starting server says, and when it first says it; seconds since the start of its process."""

    def __init__(self, dns_port, http_port, host):
        self.start = time.perf_counter()
        self.dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.dns.settimeout(servers.PROBE)
        self.dns.connect(("127.0.0.1", dns_port))
        self.http_port, self.host = http_port, host
        self.said = collections.Counter()
        self.first = {}

    def ask_all(self):
        """Asks once over DNS and once over HTTP; true when both say that all is well."""
        answer, ready = self.ask_dns(), self.ask_http()
        for word in (answer, ready):
            if word:
                self.said[word] += 1
                self.first.setdefault(word, time.perf_counter() - self.start)
        return "answer" in self.first and "readyz 200" in self.first

    def ask_dns(self):
        try:
            self.dns.send(servers.query(self.host, "A", edns=True))
            reply = self.dns.recv(4096)
        except OSError:
            return None
        rcode = RCODES.get(reply[3] & 15, str(reply[3] & 15))
        if rcode == "NOERROR" and reply[6:8] != b"\0\0":
            return "answer"
        return f"DNS {rcode}{extended_error(reply, self.host)}"

    def ask_http(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=servers.PROBE * 4)
        try:
            connection.request("GET", "/readyz")
            return f"readyz {connection.getresponse().status}"
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def extended_error(reply, host):
    """" EDE n" of a reply without records before its OPT; empty if there is none."""
    at = 12 + len(host) + 2 + 4 + 11
    if reply[6:10] != b"\0\0\0\0":
        return ""
    while at + 4 <= len(reply):
        code, length = int.from_bytes(reply[at : at + 2], "big"), int.from_bytes(reply[at + 2 : at + 4], "big")
        if code == 15:
            return f" EDE {int.from_bytes(reply[at + 4 : at + 6], 'big')}"
        at += 4 + length
    return ""


def lone(count):
    """A request for each instance."""
    for service, member, ip, port in workload.instances(count // PER_SERVICE, PER_SERVICE):
        body = {"port": port, "addresses": [ip], "priority": 0, "weight": 1, "lease_seconds": workload.LEASE_SECONDS}
        yield registrations.put(f"/v1/services/{service}/instances/{member}", body), 1


def fill(options, directory):
    """Registers everything with a server that starts empty, and stops it."""
    server = servers.start_zonebeat(directory, workload.ZONE, SERVER_CORE)
    try:
        empty, used = server.status("VmRSS"), server.cpu_seconds()
        requests = lone(options.instances) if options.lone else registrations.requests(directory)
        seconds = registrations.load(server.http_port, requests, options.connections if options.lone else 1)
        used = server.cpu_seconds() - used
        count, memory = options.instances, server.status("VmRSS")
        row = {"per_second": count / seconds, "cpu_us": used / count * 1e6, "empty": empty, "memory": memory}
        row["peak"] = server.status("VmHWM")
        row["octets"] = (memory - empty) * 2**20 / count
        print(f"registered: {count:,} in {seconds:.1f} s, {row['per_second']:,.0f}/s durable, {row['cpu_us']:.0f} us of CPU")
        print(f"    memory {memory:.0f} MiB, peak {row['peak']:.0f}, {row['octets']:.0f} octets per instance", flush=True)
    finally:
        stopping = time.perf_counter()
        server.stop()
    row["stop_seconds"] = time.perf_counter() - stopping
    return row


def restart(options, directory, label, host):
    """Starts on what is stored and watches it become ready. Returns the server and what was seen."""
    ports = servers.free_port(), servers.free_port()
    command = servers.zonebeat_command(directory, workload.ZONE, SERVER_CORE, ports)
    with open(os.path.join(directory, "restart.log"), "wb") as log:
        clock = Clock(*ports, host)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    server = servers.Server("zonebeat", process, ports[0])
    try:
        while not clock.ask_all():
            if time.perf_counter() - clock.start > servers.PATIENCE or process.poll() is not None:
                raise SystemExit(f"not ready {label}: it said {dict(clock.said)}")
            time.sleep(servers.PROBE)
        row = {"ready": clock.first["readyz 200"], "answer": clock.first["answer"], "said": dict(clock.said)}
        row |= {"cpu": server.cpu_seconds(), "memory": server.status("VmRSS"), "peak": server.status("VmHWM")}
        row["octets"] = row["memory"] * 2**20 / options.instances
        said = ", ".join(f"{word} from {clock.first[word]:.2f} s" for word in clock.said)
        print(f"{label}: first answer {row['answer']:.2f} s, /readyz 200 {row['ready']:.2f} s, {row['cpu']:.2f} s of CPU")
        print(f"    memory {row['memory']:.0f} MiB, peak {row['peak']:.0f}; it said: {said}", flush=True)
    except BaseException:
        server.stop()
        raise
    return server, row


def judge(result):
    """Each bar with what was measured, and whether it was held."""
    bars = []
    for key, label in (("registered", "after registering"), ("stopped", "after a stop"), ("killed", "after SIGKILL")):
        octets = result[key]["peak"] * 2**20
        bars.append((f"memory {label}, peak: {octets / 1e6:.0f} of {MOST_MEMORY / 1e6:.0f} MB", octets <= MOST_MEMORY))
    for key, label in (("stopped", "a stop"), ("killed", "SIGKILL")):
        seconds = result[key]["ready"]
        bars.append((f"ready after {label}: {seconds:.2f} of {MOST_SECONDS:.0f} s", seconds <= MOST_SECONDS))
    return bars


def run(options, directory):
    services = options.instances // PER_SERVICE
    if not options.lone:
        workload.write_sessions(
            os.path.join(directory, "sessions.jsonl"), workload.instances(services, PER_SERVICE)
        )
    service, member, *_ = workload.instance(services * PER_SERVICE - 1, services, PER_SERVICE)
    host = f"{member}.{service}.{workload.ZONE}"
    result = {"machine": load.machine(), "instances": options.instances, "lone": options.lone}
    result["registered"] = fill(options, directory)
    server, result["stopped"] = restart(options, directory, "after a stop", host)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    server, result["killed"] = restart(options, directory, "after SIGKILL", host)
    server.stop()
    stored = os.path.getsize(os.path.join(directory, "data", "registry.redb"))
    print(f"file of the store: {stored / 2**20:.0f} MiB")
    result["file"] = stored / 2**20
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(result, file, indent=1)
    bars = judge(result)
    for text, is_held in bars:
        print(f"{'held' if is_held else 'MISSED'}: {text}")
    if options.judge and not all(is_held for _, is_held in bars):
        raise SystemExit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--lone", action="store_true", help="without sessions")
    parser.add_argument("--connections", type=int, default=64, help="of lone registrations")
    parser.add_argument("--json", help="write everything to this file")
    parser.add_argument("--judge", action="store_true", help="fail if a bar was missed")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="zonebeat-bench-") as directory:
        run(options, directory)


if __name__ == "__main__":
    main()
