"""The servers under measurement: started on loopback ports of their own, pinned to one core, stopped by process id."""

import glob
import http.client
import json
import os
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ZONEBEAT = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release/zonebeat")
PATIENCE = 60


class Server:
    """A process, where it answers DNS, and the processor time that it and its children have used."""

    def __init__(self, name, process, port):
        self.name, self.process, self.port = name, process, port

    def cpu_seconds(self):
        """User and system time of the process and all its descendants."""
        parents, used = {}, {}
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    pid, rest = path.split("/")[2], file.read().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(pid)] = int(rest[1])
            used[int(pid)] = int(rest[11]) + int(rest[12])
        family = {self.process.pid}
        while grown := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= grown
        return sum(used.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port():
    """A port that is free over UDP and TCP now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(("127.0.0.1", udp.getsockname()[1]))
            except OSError:
                continue
            return udp.getsockname()[1]


def start_nsd(directory, zone, core):
    """NSD with one worker and the zone file in the directory."""
    port = free_port()
    config = os.path.join(directory, "nsd.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(
            f"""server:
    server-count: 1
    ip-address: 127.0.0.1@{port}
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
"""
        )
    command = ["taskset", "-c", str(core), "nsd", "-d", "-c", config]
    log = open(os.path.join(directory, "nsd.log"), "wb")
    server = Server("NSD", subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log), port)
    await_answer(server, zone)
    return server


def start_knot(directory, zone, core):
    """Knot with one worker for UDP and the zone file in the directory."""
    port = free_port()
    config = os.path.join(directory, "knot.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(
            f"""server:
    listen: 127.0.0.1@{port}
    rundir: {directory}
    udp-workers: 1
    tcp-workers: 1
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
"""
        )
    command = ["taskset", "-c", str(core), "knotd", "-c", config]
    log = open(os.path.join(directory, "knot.log"), "wb")
    server = Server("Knot", subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log), port)
    await_answer(server, zone)
    return server


def start_zonebeat(directory, zone, core, allow=(), probe=0.05):
    """zonebeat with one worker, because it may use one core; `allow` lists prefixes that are otherwise refused.

    `probe` is how often it is looked whether it is ready, in seconds.
    """
    if not os.path.exists(ZONEBEAT):
        raise SystemExit("there is no release build: run `cargo build --release --locked` first")
    config = os.path.join(directory, "zonebeat.toml")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"[policy]\nallow_addresses = {json.dumps(list(allow))}\n")
    command = ["taskset", "-c", str(core), ZONEBEAT, "serve", "--config", config, "--zone", zone]
    command += ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir", os.path.join(directory, "data")]
    path = os.path.join(directory, "zonebeat.log")
    with open(path, "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    fields = await_ready(process, path, probe)
    server = Server("zonebeat", process, int(fields["dns"].split(",")[0].rsplit(":", 1)[1]))
    server.http_port = int(fields["http"].split(",")[0].rsplit(":", 1)[1])
    return server


def await_ready(process, path, probe):
    """The fields of the log line that says `ready`."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with open(path, encoding="utf-8") as log:
            for line in log:
                if '"ready"' in line and line.endswith("\n"):
                    event = json.loads(line)
                    return event.get("fields", event)
        time.sleep(probe)
    with open(path, encoding="utf-8") as log:
        raise SystemExit(f"zonebeat did not become ready:\n{log.read()}")


def await_answer(server, name):
    """Waits until the server answers the SOA of its zone."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.process.poll() is None:
        if dig(server, name, "SOA"):
            return
        time.sleep(0.1)
    raise SystemExit(f"{server.name} does not answer {name} SOA")


def dig(server, name, rtype):
    """The sorted lines of `dig +short`."""
    command = ["dig", "@127.0.0.1", "-p", str(server.port), "+short", "+tries=1", "+time=1", name, rtype]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return sorted(line for line in lines if not line.startswith(";"))


class Http:
    """One kept connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def send(self, method, path, body=None):
        """Sends a request; `receive` has to follow."""
        headers = {} if body is None else {"content-type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self):
        """The body of the reply; stops the measurement when it is an error."""
        reply = self.connection.getresponse()
        text = reply.read()
        if reply.status >= 300:
            raise SystemExit(f"HTTP {reply.status}: {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    def call(self, method, path, body=None):
        self.send(method, path, body)
        return self.receive()
