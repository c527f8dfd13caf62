#!/usr/bin/env bash
# Installs the Debian packages that a target of the Makefile needs, if their programs are missing.
#
# usage: scripts/packages.sh run|test|bench
#
# Some packages are servers. Tests and benchmarks start those themselves, on ports of their own; Debian would start
# them on port 53 as well, so that is forbidden while they are installed, and they are not left enabled.
set -euo pipefail

run=(cc:build-essential dig:bind9-dnsutils curl:curl)
test=(
    "${run[@]}"
    c++:build-essential         # libFuzzer
    drill:ldnsutils             # a second opinion on answers and transfers
    ip:iproute2                 # network namespaces
    jq:jq
    mount:mount                 # small and read-only disks
    kdig:knot-dnsutils          # shows EDE and NSID in words
    ps:procps
    knotd:knot                  # secondaries that take our zones
    named-checkzone:bind9-utils # reads the zones that we transfer
    named:bind9
    nsd:nsd
    promtool:prometheus         # the rules for metric names
    python3:python3
    shellcheck:shellcheck
    systemd-analyze:systemd     # checks config/zonebeat.service
)
bench=("${run[@]}" dnsperf:dnsperf nsd:nsd python3:python3 taskset:util-linux)
servers=(bind9 knot nsd prometheus)
units=(named knot nsd prometheus)

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

missing=()
for entry in "${wanted[@]}"; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
    echo "install these first, this machine has no apt-get: ${missing[*]}" >&2
    exit 1
fi
root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
echo "installing: ${missing[*]}"

policy=/usr/sbin/policy-rc.d
if printf '%s\n' "${missing[@]}" | grep -qxF -f <(printf '%s\n' "${servers[@]}") && [ ! -e "$policy" ]; then
    # 101 says "forbidden" to whatever a package wants to start.
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
    trap '"${root[@]}" rm -f "$policy"' EXIT
fi

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
"${apt[@]}" update >/dev/null
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null

if [ -d /run/systemd/system ]; then
    for index in "${!servers[@]}"; do
        if printf '%s\n' "${missing[@]}" | grep -qxF "${servers[$index]}"; then
            "${root[@]}" systemctl disable --quiet "${units[$index]}"
        fi
    done
fi

for entry in "${wanted[@]}"; do
    if ! command -v "${entry%%:*}" >/dev/null; then
        echo "the package ${entry#*:} is installed, but ${entry%%:*} is still missing" >&2
        exit 1
    fi
done
