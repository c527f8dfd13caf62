"""The servers that zonebeat is compared with: Debian's packages, their defaults, as many workers as zonebeat has, no rate
limits, the same zone as a file. Each is started on a loopback port of its own, under `taskset`, in the foreground."""

import json
import os
import subprocess

import servers


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def start_nsd(directory, zone, core, workers, question):
    port = servers.free_port()
    config = write(
        directory,
        "nsd.conf",
        f"""server:
    server-count: {workers}
    ip-address: 127.0.0.1@{port}
    reuseport: {"yes" if workers > 1 else "no"}
    username: ""
    pidfile: "{directory}/nsd.pid"
    xfrdfile: ""
    zonelistfile: "{directory}/nsd.zones"
    database: ""
    zonesdir: "{directory}"
    xfrdir: "{directory}"
    cookie-secret-file: ""
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: {zone}
    zonefile: {zone}.zone
""",
    )
    return servers.launch("NSD", ["taskset", "-c", core, "nsd", "-d", "-c", config], directory, port, question)


def start_knot(directory, zone, core, workers, question):
    port = servers.free_port()
    config = write(
        directory,
        "knot.conf",
        f"""server:
    listen: 127.0.0.1@{port}
    rundir: {directory}
    udp-workers: {workers}
    tcp-workers: {workers}
    background-workers: 1
database:
    storage: {directory}/knot
log:
  - target: stderr
    any: warning
zone:
  - domain: {zone}
    file: {directory}/{zone}.zone
    zonefile-sync: -1
""",
    )
    return servers.launch("Knot", ["taskset", "-c", core, "knotd", "-c", config], directory, port, question)


def start_bind(directory, zone, core, workers, question):
    port = servers.free_port()
    config = write(
        directory,
        "named.conf",
        f"""options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    notify no;
}};
controls {{ }};
zone "{zone}" {{ type primary; file "{directory}/{zone}.zone"; }};
""",
    )
    command = ["taskset", "-c", core, "named", "-g", "-4", "-c", config, "-n", str(workers), "-U", str(workers)]
    return servers.launch("BIND", command, directory, port, question)


def start_pdns(directory, zone, core, workers, question):
    """With its packet cache, as it is by default."""
    port = servers.free_port()
    zones = write(directory, "pdns-zones.conf", f'zone "{zone}" {{ type master; file "{directory}/{zone}.zone"; }};\n')
    write(
        directory,
        "pdns.conf",
        f"""launch=bind
bind-config={zones}
local-address=127.0.0.1
local-port={port}
socket-dir={directory}
daemon=no
guardian=no
security-poll-suffix=
receiver-threads={workers}
distributor-threads={workers}
reuseport={"yes" if workers > 1 else "no"}
loglevel=3
""",
    )
    command = ["taskset", "-c", core, "pdns_server", f"--config-dir={directory}"]
    return servers.launch("PowerDNS", command, directory, port, question)


PEERS = {"nsd": start_nsd, "knot": start_knot, "bind": start_bind, "pdns": start_pdns}


def programs(*names):
    """Paths of our own load and echo, built if they are not, and the server as it is shipped.

    cargo builds the server for benches too, with the features of their dependencies; the last step puts the other back.
    """
    command = ["cargo", "bench", "--locked", "--no-run", "--message-format=json"]
    for name in names:
        command += ["--bench", name]
    output = subprocess.run(command, cwd=servers.ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = {}
    for line in output.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable") and message["target"]["name"] in names:
            found[message["target"]["name"]] = message["executable"]
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=servers.ROOT, check=True)
    return [found[name] for name in names]


def start_echo(program, core, sizes, grouped):
    """The floor: copies answers of the `sizes` that zonebeat's have, by length and kind of the query."""
    command = ["taskset", "-c", core, program] + (["--group"] if grouped else [])
    for (length, kind), answer in sorted(sizes.items()):
        command += ["--answer", f"{length}:{kind}:{answer}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return servers.Server("echo grouped" if grouped else "echo", process, int(process.stdout.readline()))
