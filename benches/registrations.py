#!/usr/bin/env python3
"""Registrations per second from an empty registry, then memory and the time of a restart.

usage: registrations.py [--instances 100000] [--single 20000] [--connections 64]

First, sessions: every instance in sets of 200, one set after the other. The server is then stopped and started again on
the same data, and answers; memory is shown before and after. Second, on an empty registry: lone instances, each with a
PUT of its own, over kept connections with one request in flight on each. Every acknowledgement means that the
registration is on disk (fsync) and published.
"""

import argparse
import os
import re
import selectors
import socket
import struct
import tempfile
import time

import servers
import workload

SERVER_CORE, LOAD_CORE = 0, 1
PER_SERVICE = 10
PROBE = 0.005


def memory(server, key="VmRSS"):
    """MiB of resident memory of the server, or another value of its status."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
        return int(re.search(rf"{key}:\s+(\d+)", file.read()).group(1)) / 1024


def metrics(server):
    """Every sample of the server by its name."""
    connection = servers.http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=servers.PATIENCE)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if not line.startswith("#")}


def requests(directory):
    """For each session: its request, and how many instances it has."""
    with open(os.path.join(directory, "sessions.jsonl"), encoding="ascii") as file:
        for line in file:
            row = servers.json.loads(line)
            yield put(f"/v1/sessions/{row['session']}", row["body"]), len(row["body"]["instances"])


def singles(count):
    """One request for each lone instance."""
    for service, instance, ip, port in workload.instances(count // PER_SERVICE, PER_SERVICE):
        body = {"port": port, "addresses": [ip], "lease_seconds": workload.LEASE_SECONDS}
        yield put(f"/v1/services/{service}/instances/{instance}", body), 1


def put(path, body):
    text = servers.json.dumps(body)
    head = f"PUT {path} HTTP/1.1\r\nhost: zonebeat\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n"
    return (head + "\r\n" + text).encode()


def is_whole(reply):
    end = reply.find(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", reply[: max(end, 0)])
    return end >= 0 and len(reply) >= end + 4 + int(length.group(1) if length else 0)


def load(port, waiting, connections):
    """Sends every request; one in flight per connection. Returns the seconds that it took."""
    selector = selectors.DefaultSelector()
    start = time.perf_counter()
    for _ in range(connections):
        request = next(waiting, None)
        if request is None:
            break
        connection = socket.create_connection(("127.0.0.1", port), timeout=servers.PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request[0])
        selector.register(connection, selectors.EVENT_READ, bytearray())
    while selector.get_map():
        for key, _ in selector.select(servers.PATIENCE):
            received = key.fileobj.recv(1 << 20)
            key.data.extend(received)
            if received and not is_whole(key.data):
                continue
            if not key.data.startswith(b"HTTP/1.1 20"):
                raise SystemExit(f"refused: {key.data.decode(errors='replace')}")
            key.data.clear()
            request = next(waiting, None)
            if request is None:
                selector.unregister(key.fileobj)
                key.fileobj.close()
            else:
                key.fileobj.sendall(request[0])
    return time.perf_counter() - start


def measure(server, label, waiting, connections):
    """Loads, and prints what it took."""
    waiting = list(waiting)
    count = sum(instances for _, instances in waiting)
    used, before = server.cpu_seconds(), metrics(server)
    seconds = load(server.http_port, iter(waiting), connections)
    used, after = server.cpu_seconds() - used, metrics(server)
    grown = lambda name: after[name] - before.get(name, 0)
    commits = grown("zonebeat_store_commit_seconds_count")
    print(f"{label}: {count:,} instances in {seconds:.2f} s, {count / seconds:,.0f}/s, {used / count * 1e6:.0f} us of CPU each")
    print(
        f"    {commits:,.0f} commits of {count / commits:.0f}; commits took {grown('zonebeat_store_commit_seconds_sum'):.2f} s,"
        f" compiling {grown('zonebeat_view_compile_seconds_sum'):.2f} s; memory {memory(server):.0f} MiB",
        flush=True,
    )


def ask(port, host):
    """Whether the server answers the host's address."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
    query = struct.pack(">6H", 7, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.settimeout(PROBE)
        dns.connect(("127.0.0.1", port))
        try:
            dns.send(query)
            return dns.recv(4096)[6:8] == b"\0\1"
        except OSError:
            return False


def restart(directory, host):
    """Starts on the data that are there; prints the time to the first answer."""
    start = time.perf_counter()
    server = servers.start_zonebeat(directory, workload.ZONE, SERVER_CORE, probe=PROBE)
    try:
        while not ask(server.port, host):
            if time.perf_counter() - start > servers.PATIENCE:
                raise SystemExit(f"{host} is not answered after the restart")
        seconds = time.perf_counter() - start
        print(f"restart: {seconds:.2f} s to the first answer; memory {memory(server):.0f} MiB, most {memory(server, 'VmHWM'):.0f}")
    finally:
        server.stop()


def run(directory, count, label, waiting, connections):
    """An empty server is loaded, stopped and started again."""
    server = servers.start_zonebeat(directory, workload.ZONE, SERVER_CORE)
    try:
        empty = memory(server)
        measure(server, label, waiting, connections)
        print(f"    {(memory(server) - empty) * 2**20 / count:,.0f} octets of memory per instance, peaks of loading included")
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--single", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    services = options.instances // PER_SERVICE
    with tempfile.TemporaryDirectory(prefix="zonebeat-bench-") as directory:
        workload.write(directory, services, PER_SERVICE, 1)
        run(directory, options.instances, "sessions", requests(directory), 1)
        service, instance = list(workload.instances(services, PER_SERVICE))[-1][:2]
        restart(directory, f"{instance}.{service}.{workload.ZONE}")
    with tempfile.TemporaryDirectory(prefix="zonebeat-bench-") as directory:
        waiting = singles(options.single)
        run(directory, options.single, f"single, {options.connections} connections", waiting, options.connections)


if __name__ == "__main__":
    main()
