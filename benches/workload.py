#!/usr/bin/env python3
"""The zone and the queries of the measurements, the same for every server.

usage: workload.py DIRECTORY [--services 2000] [--instances 10] [--queries 100000]

Services `svc0000`..., each with instances `i0`..., in the zone sd.test. Written into DIRECTORY: the zone as a file for
NSD (sd.test.zone), the same instances as bodies for zonebeat (sessions.jsonl: session, body), and queries for dnsperf:
a.txt  A of one instance          c.txt  SRV of a service
b.txt  A of a service             d.txt  60 % SRV, 30 % A, 10 % names that do not exist
n.txt  names that do not exist    o.txt  AAAA of services and instances, which have none
"""

import argparse
import itertools
import json
import os
import random

ZONE = "sd.test"
TTL = 30
PER_SESSION = 200  # instances of one session body, which must stay below 64 KiB
LEASE_SECONDS = 3600  # longer than a measurement, so that nobody has to beat

SOA = f"""$ORIGIN {ZONE}.
$TTL {TTL}
@ 3600 IN SOA ns1.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 5
@ 3600 IN NS ns1.{ZONE}.
ns1 3600 IN A 192.0.2.53
"""


def address(number):
    """Addresses of the range for benchmarks (RFC 2544); they come again after 131,072."""
    return f"198.{18 + (number >> 16) % 2}.{number >> 8 & 255}.{number & 255}"


def instance(number, services, per_service):
    """Service, instance, address and port of a number from 0."""
    width = max(4, len(str(services - 1)))
    service, member = divmod(number, per_service)
    return f"svc{service:0{width}d}", f"i{member}", address(number + 1), 20000 + (number + 1) % 20000


def instances(services, per_service):
    """All of them, in order."""
    return (instance(number, services, per_service) for number in range(services * per_service))


def write_zone(path, rows):
    with open(path, "w", encoding="ascii") as file:
        file.write(SOA)
        for service, instance, ip, port in rows:
            host = f"{instance}.{service}"
            file.write(f"{host} IN A {ip}\n{service} IN A {ip}\n")
            file.write(f"_{service}._tcp IN SRV 0 1 {port} {host}.{ZONE}.\n")


def write_sessions(path, rows):
    with open(path, "w", encoding="ascii") as file:
        for session in itertools.count():
            members = [
                {
                    "service": service,
                    "id": member,
                    "registration": {"port": port, "addresses": [ip], "priority": 0, "weight": 1},
                }
                for service, member, ip, port in itertools.islice(rows, PER_SESSION)
            ]
            if not members:
                return
            body = {"epoch": "1", "lease_seconds": LEASE_SECONDS, "instances": members}
            file.write(json.dumps({"session": f"load-{session}", "body": body}) + "\n")


def write_queries(directory, services, per_service, count):
    chance = random.Random(7)
    total = services * per_service
    one = lambda: instance(chance.randrange(total), services, per_service)
    kinds = {
        "a": lambda: "{1}.{0}.{2} A".format(*one()[:2], ZONE),
        "b": lambda: f"{one()[0]}.{ZONE} A",
        "c": lambda: f"_{one()[0]}._tcp.{ZONE} SRV",
        "n": lambda: f"nope{chance.randrange(total)}.{ZONE} A",
        "o": lambda: chance.choice(("{0}.{2} AAAA", "{1}.{0}.{2} AAAA")).format(*one()[:2], ZONE),
    }
    kinds["d"] = lambda: kinds[chance.choices("cabn", (60, 15, 15, 10))[0]]()
    for name, query in sorted(kinds.items()):
        with open(os.path.join(directory, f"{name}.txt"), "w", encoding="ascii") as file:
            file.writelines(query() + "\n" for _ in range(count))


def write(directory, services, per_service, queries):
    """Writes everything into the directory."""
    os.makedirs(directory, exist_ok=True)
    rows = lambda: instances(services, per_service)
    write_zone(os.path.join(directory, f"{ZONE}.zone"), rows())
    write_sessions(os.path.join(directory, "sessions.jsonl"), rows())
    write_queries(directory, services, per_service, queries)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--instances", type=int, default=10)
    parser.add_argument("--queries", type=int, default=100_000)
    options = parser.parse_args()
    write(options.directory, options.services, options.instances, options.queries)


if __name__ == "__main__":
    main()
