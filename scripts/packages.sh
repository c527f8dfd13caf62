#!/usr/bin/env bash
# Installs the Debian packages that a target of the Makefile needs, if their programs are missing.
#
# usage: scripts/packages.sh run|test|bench
#
# Some packages are servers. Tests and benchmarks start those themselves, on ports of their own; Debian would start
# them on port 53 as well, so that is forbidden while they are installed, and they are not left enabled.
set -euo pipefail

run=(
    cc:build-essential
    curl:curl
    dig:bind9-dnsutils
    protoc:protobuf-compiler # compiles etcd's messages when zonebeat is built
    /usr/include/google/protobuf/empty.proto:libprotobuf-dev
)
test=(
    "${run[@]}"
    c++:build-essential         # libFuzzer
    crun:crun                   # runs Podman's containers
    delv:bind9-dnsutils         # validates our answers from signed zones
    dnssec-signzone:bind9-utils # signs zones for tests
    faketime:faketime           # wall clocks that jump, and libfaketime with it
    drill:ldnsutils             # a second opinion on answers and transfers
    etcd:etcd-server            # a gRPC health service, with TLS and without
    go:golang-go                # runs the Go program of docs/clients.md; 464 MB installed
    haproxy:haproxy             # finds its servers in our SRV records
    ip:iproute2                 # network namespaces
    kdig:knot-dnsutils          # shows EDE and NSID in words
    knotd:knot                  # secondaries that take our zones
    kzonecheck:knot-dnssecutils # judges zone files beside us
    ldns-signzone:ldnsutils     # the other signer
    mount:mount                 # small and read-only disks
    named:bind9
    named-checkzone:bind9-utils # reads the zones that we transfer, judges zone files
    nft:nftables                # loses packets between hosts and server
    nsd:nsd
    openssl:openssl             # certificates for the encrypted transports
    podman:podman               # containers that the agent registers by their labels
    prometheus:prometheus       # finds its targets in our SRV records
    promtool:prometheus         # the rules for metric names
    ps:procps                   # kill, by which servers are told to stop
    python3:python3
    shellcheck:shellcheck
    systemd-analyze:systemd     # checks the units in config
    unbound:unbound             # resolves our names
    valgrind:valgrind           # counts the instructions of a query
)
bench=(
    "${run[@]}"
    dnsperf:dnsperf
    knotd:knot # the servers that the benches compare with
    named:bind9
    nsd:nsd
    pdns_server:pdns-backend-bind # reads zone files, and brings pdns-server
    python3:python3
    taskset:util-linux
)
# Packages that are servers, and their units.
declare -A units=([bind9]=named [etcd-server]=etcd [haproxy]=haproxy [knot]=knot [nsd]=nsd [pdns-backend-bind]=pdns [podman]=podman.socket [prometheus]=prometheus [unbound]=unbound)

case "${1:-}" in
    run) wanted=("${run[@]}") ;;
    test) wanted=("${test[@]}") ;;
    bench) wanted=("${bench[@]}") ;;
    *) echo "usage: $0 run|test|bench" >&2; exit 2 ;;
esac

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust first (https://rustup.rs)" >&2
    exit 1
fi
if [ "$1" = test ] && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    echo "cargo fmt or cargo clippy is missing: run \`rustup component add rustfmt clippy\`" >&2
    exit 1
fi

missing=()
for entry in "${wanted[@]}"; do
    program="${entry%%:*}"
    [ -e "$program" ] || command -v "$program" >/dev/null || missing+=("${entry#*:}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
    echo "install these first, this machine has no apt-get: ${missing[*]}" >&2
    exit 1
fi
root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "there is no sudo; run as root: apt-get update && apt-get install ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi
echo "installing: ${missing[*]}"

servers=()
for package in "${missing[@]}"; do
    [ -z "${units[$package]:-}" ] || servers+=("$package")
done

policy=/usr/sbin/policy-rc.d
if [ ${#servers[@]} -gt 0 ] && [ ! -e "$policy" ]; then
    trap '"${root[@]}" rm -f "$policy"' EXIT
    # 101 says "forbidden" to whatever a package wants to start.
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
fi

# A fresh machine may be busy with upgrades of its own.
apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
"${apt[@]}" update >/dev/null
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null

if [ -d /run/systemd/system ]; then
    for package in "${servers[@]}"; do
        "${root[@]}" systemctl disable --quiet "${units[$package]}"
    done
fi

for entry in "${wanted[@]}"; do
    program="${entry%%:*}"
    if ! { [ -e "$program" ] || command -v "$program" >/dev/null; }; then
        echo "the package ${entry#*:} is installed, but $program is still missing" >&2
        exit 1
    fi
done
