#!/usr/bin/env python3
"""Time from a PUT to the first DNS answer that has the instance.

usage: visible.py [--count 1000] [--services 2000] [--instances 10]

A server that already has the workload gets one new instance after the other. The clock starts when the request is
sent and stops when a UDP query for the instance's host is answered with its address; queries follow each other without
a pause. In this time the registration has been checked, written to disk (fsync), compiled and published.
"""

import argparse
import socket
import statistics
import struct
import tempfile
import time

import queries
import servers
import workload

SERVER_CORE = 0


def question(number, name):
    """A query for the A record of a name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number & 0xFFFF, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def time_one(connection, dns, number):
    """Seconds until the new instance is answered, and how many queries that took."""
    host = f"new{number}"
    query = question(number, f"{host}.visible.{workload.ZONE}")
    body = {"port": 80, "addresses": ["192.0.2.7"], "lease_seconds": 60}
    start = time.perf_counter()
    connection.send("PUT", f"/v1/services/visible/instances/{host}", body)
    asked = 0
    while True:
        asked += 1
        dns.send(query)
        answer = dns.recv(4096)
        if answer[:2] == query[:2] and answer[6:8] != b"\0\0":
            break
        if time.perf_counter() - start > servers.PATIENCE:
            raise SystemExit(f"{host} was not answered within {servers.PATIENCE} s")
    elapsed = time.perf_counter() - start
    connection.receive()
    return elapsed, asked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--instances", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zonebeat-bench-") as directory:
        workload.write(directory, options.services, options.instances, 1)
        server = servers.start_zonebeat(directory, workload.ZONE, SERVER_CORE)
        try:
            queries.register(server, directory)
            connection = servers.Http(server.http_port)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
                dns.settimeout(servers.PATIENCE)
                dns.connect(("127.0.0.1", server.port))
                rounds = [time_one(connection, dns, number) for number in range(options.count)]
        finally:
            server.stop()
    times = sorted(elapsed * 1e3 for elapsed, _ in rounds)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    asked = sum(asked for _, asked in rounds) / len(rounds)
    print(f"PUT to first answer, {len(times)} instances beside {options.services * options.instances}:")
    print(f"median {statistics.median(times):.2f} ms, p99 {p99:.2f} ms, most {times[-1]:.2f} ms ({asked:.0f} queries each)")


if __name__ == "__main__":
    main()
