#!/usr/bin/env bash
# Keeps what fuzzing found: the smallest inputs that reach everything in target/fuzz/corpus/TARGET
# become seeds in fuzz/corpus/TARGET, at most KEEP of them: fuzz/keep.sh [TARGET...]. Run it after
# fuzz/run.sh, which builds the targets.
set -euo pipefail
cd "$(dirname "$0")/.."

KEEP=${KEEP:-200}
host=$(rustc -vV | sed -n 's/^host: //p')
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
for target in "${targets[@]}"; do
    found=$(mktemp -d)
    "target/fuzz/$host/fuzz/$target" -merge=1 -max_len=512 "$found" \
        "fuzz/corpus/$target" "target/fuzz/corpus/$target" >/dev/null 2>&1
    # Seeds that were written by hand keep their names; libFuzzer names what it finds by its hash.
    find "fuzz/corpus/$target" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    find "$found" -type f -printf '%s %f\n' | sort -n | awk -v keep="$KEEP" 'NR <= keep { print $2 }' | while read -r name; do
        cp "$found/$name" "fuzz/corpus/$target/$name"
    done
    rm -r "$found"
    echo "$target: $(find "fuzz/corpus/$target" -type f | wc -l) seeds, $(du -bs "fuzz/corpus/$target" | cut -f 1) octets"
done
