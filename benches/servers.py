"""The servers under measurement: started on loopback ports of their own, pinned to one core, stopped by process id."""

import glob
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ZONEBEAT = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release/zonebeat")
PATIENCE = 300  # of starts and requests, in seconds; a busy machine takes long
PROBE = 0.005  # how often a server that starts is asked, in seconds

# Whoever ends a measurement ends its servers, and their directory goes away.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Server:
    """A process, where it answers DNS, and what it and its children have used."""

    def __init__(self, name, process, port):
        self.name, self.process, self.port = name, process, port
        self.start_seconds = None  # from the start of the process to its first right answer

    def family(self):
        """The process and all its descendants, each with its user and system time in ticks."""
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
        return {pid: used.get(pid, 0) for pid in family}

    def cpu_seconds(self):
        """User and system time of the process and all its descendants."""
        return sum(self.family().values()) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """MiB of resident memory of the process and all its descendants; what they share counts once."""
        kib = 0
        for pid in self.family():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                kib += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.MULTILINE).group(1))
        return kib / 1024

    def status(self, key):
        """MiB of a value in the status of the process: VmRSS, VmHWM."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"{key}:\s+(\d+)", file.read()).group(1)) / 1024

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


def zonebeat_command(directory, zone, core, ports=(0, 0), workers=0, allow=()):
    """Writes the configuration; `ports` are those of DNS and HTTP. Without `workers`: one per core it may use."""
    if not os.path.exists(ZONEBEAT):
        raise SystemExit("there is no release build: run `cargo build --release --locked` first")
    config = os.path.join(directory, "zonebeat.toml")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"[dns]\nworkers = {workers}\n[policy]\nallow_addresses = {json.dumps(list(allow))}\n")
    command = ["taskset", "-c", str(core), ZONEBEAT, "serve", "--config", config, "--zone", zone]
    command += ["--listen", f"127.0.0.1:{ports[0]}", "--http", f"127.0.0.1:{ports[1]}"]
    return command + ["--data-dir", os.path.join(directory, "data")]


def start_zonebeat(directory, zone, core, allow=(), probe=0.05, workers=0):
    """zonebeat with one worker per core; `allow` lists prefixes that are otherwise refused.

    `probe` is how often it is looked whether it is ready, in seconds.
    """
    command = zonebeat_command(directory, zone, core, workers=workers, allow=allow)
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


def launch(name, command, directory, port, question):
    """Starts a server and waits for its first right answer; `question` is a name and a type that has records."""
    path = os.path.join(directory, f"{name}.log")
    start = time.perf_counter()
    with open(path, "wb") as log:
        server = Server(name, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log), port)
    try:
        while not is_answered(port, *question):
            if time.perf_counter() - start > PATIENCE or server.process.poll() is not None:
                with open(path, encoding="utf-8", errors="replace") as log:
                    raise SystemExit(f"{name} does not answer {' '.join(question)}:\n{log.read()[-2000:]}")
        server.start_seconds = time.perf_counter() - start
    except BaseException:
        server.stop()
        raise
    return server


RTYPES = {"A": 1, "SOA": 6, "MX": 15, "AAAA": 28, "SRV": 33}


def query(name, rtype="A", edns=False, number=7):
    """A query as a packet."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    packet = struct.pack(">6H", number & 0xFFFF, 0x0100, 1, 0, 0, int(edns)) + labels + b"\0"
    packet += struct.pack(">2H", RTYPES[rtype], 1)
    return packet + (struct.pack(">BHHIH", 0, 41, 1232, 0, 0) if edns else b"")


def is_answered(port, name, rtype, patience=PROBE):
    """Whether there is an answer with records now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.settimeout(patience)
        dns.connect(("127.0.0.1", port))
        try:
            dns.send(query(name, rtype))
            reply = dns.recv(4096)
        except OSError:
            time.sleep(patience / 2)
            return False
    return len(reply) > 12 and reply[3] & 15 == 0 and reply[6:8] != b"\0\0"


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
