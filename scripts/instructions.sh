#!/usr/bin/env bash
# Instructions per query from packet to packet, compared with what benches/instructions.txt records.
#
# usage: scripts/instructions.sh [--record]
#
# Fails when a mix takes over 10 % more than recorded; --record writes the figures anew, and the commit says why they
# changed. Only this package and the two hashes that nobody else uses are optimised, with the settings of the release
# profile: all other dependencies are those that the tests have built, so this costs a minute and not five. What the
# path takes of those is generic or inline, and so is optimised too.
#
# valgrind counts, so the figures do not depend on the speed or the load of a machine. They depend on the version of
# Rust; the C library chooses its copying by the processor, which is told to have no extensions.
set -euo pipefail
cd "$(dirname "$0")/.."

TOLERANCE=10
RECORDED=benches/instructions.txt

optimised=()
for package in zonebeat foldhash@0.2 siphasher; do
    for setting in opt-level=3 debug-assertions=false overflow-checks=false codegen-units=16; do
        optimised+=(--config "profile.dev.package.\"$package\".$setting")
    done
done
program=$(CARGO_INCREMENTAL=0 cargo build --locked --bench instructions "${optimised[@]}" --message-format=json |
    sed -n 's/.*"kind":\["bench"\].*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p')
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
profile="$directory/profile"
GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM \
    valgrind --tool=callgrind --callgrind-out-file="$profile" "$program" >"$directory/out" 2>"$directory/log" ||
    { cat "$directory/log" >&2; exit 1; }
queries=$(sed -n 's/ queries of each mix.*//p' "$directory/out")
callgrind_annotate --inclusive=yes --threshold=100 --auto=no "$profile" |
    awk -v queries="$queries" 'match($0, /instructions::mix_[a-z]+/) {
        name = substr($0, RSTART + 18, RLENGTH - 18); gsub(",", "", $1); printf "%s %.0f\n", name, $1 / queries }' |
    sort -u -k1,1 >"$directory/now"

if [ "${1:-}" = --record ]; then
    { grep '^#' "$RECORDED"; cat "$directory/now"; } >"$directory/new"
    cp "$directory/new" "$RECORDED"
fi
awk -v tolerance="$TOLERANCE" '
    FNR == NR { if ($0 !~ /^#/) recorded[$1] = $2; next }
    FNR == 1 { printf "%-10s %12s %12s %8s\n", "mix", "instructions", "recorded", "change" }
    {
        seen[$1] = 1
        change = recorded[$1] ? 100 * ($2 / recorded[$1] - 1) : 100
        printf "%-10s %12d %12d %+7.1f%%\n", $1, $2, recorded[$1], change
        if (change > tolerance) { failed = 1 }
    }
    END {
        for (mix in recorded) if (!(mix in seen)) { print mix " was not measured"; failed = 1 }
        if (failed) print "more instructions per query than recorded: find out why, or record them with the reason (--record)"
        exit failed
    }' "$RECORDED" "$directory/now"
