#!/bin/sh
# Keeps what fuzzing has found: keep.sh [TARGET…]
#
# Of corpus/ and of what was kept before, the fewest inputs that reach all the code they reach together are packed into kept/,
# one archive a target, to be committed: thousands of files of a few bytes each would drown the repository's own.
set -eu

targets=$*
cd "$(dirname "$0")"

mkdir -p kept
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for target in ${targets:-$(cargo fuzz list)}; do
    mkdir -p "$work/$target"
    [ ! -f "kept/$target.tar.xz" ] || tar -xJf "kept/$target.tar.xz" -C "$work/$target"
    [ ! -d "corpus/$target" ] || cp -R "corpus/$target/." "$work/$target"
    # Code counts, not how often it is reached; and long inputs are cut, since shorter ones mostly reach as much.
    cargo fuzz cmin --release --debug-assertions --sanitizer none "$target" "$work/$target" -- \
        -set_cover_merge=1 -use_counters=0 -max_len=1024 -timeout=10
    # The same inputs make the same archive.
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cJf "kept/$target.tar.xz" -C "$work/$target" .
done
ls -l kept
