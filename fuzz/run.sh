#!/usr/bin/env bash
# Builds every fuzz target and runs each for a while: fuzz/run.sh [SECONDS] [TARGET...]
#
# The coverage passes are part of the stable compiler; only the sanitizers are not, and code without `unsafe` has little
# for them to find. So this needs no nightly toolchain and no cargo-fuzz, only a C++ compiler for libFuzzer itself.
# Seeds come from fuzz/corpus/TARGET and are only read; what the fuzzer finds grows in target/fuzz/corpus/TARGET, a
# crashing input is kept in fuzz/artifacts/TARGET. A file fuzz/dictionaries/TARGET holds words of the target's language.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-30}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

host=$(rustc -vV | sed -n 's/^host: //p')
passes=(
    --cfg fuzzing
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
)
# With --target, build scripts and macros are built without these flags.
RUSTFLAGS="${passes[*]}" cargo build --locked --package zonebeat-fuzz --profile fuzz \
    --target "$host" --target-dir target/fuzz

# Runs one target and prints one line about it.
run() {
    local target=$1 log=target/fuzz/$1.log dictionary=()
    mkdir -p "target/fuzz/corpus/$target" "fuzz/artifacts/$target" "fuzz/corpus/$target"
    [ ! -e "fuzz/dictionaries/$target" ] || dictionary=(-dict="fuzz/dictionaries/$target")
    if ! "target/fuzz/$host/fuzz/$target" "${dictionary[@]}" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="fuzz/artifacts/$target/" \
        "target/fuzz/corpus/$target" "fuzz/corpus/$target" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "fuzz $target: FAILED; the input is in fuzz/artifacts/$target" >&2
        return 1
    fi
    local tried edges
    tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    echo "fuzz $target: $seconds s, $tried inputs tried, $edges edges covered"
}

# As many at a time as there are cores.
failed=0 pids=()
for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    run "$target" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit "$failed"
