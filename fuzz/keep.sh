#!/bin/sh
# Keeps what fuzzing has found: keep.sh [TARGET…]
#
# Of corpus/ and seeds/, the fewest inputs that reach all the code they reach together are packed into kept/, one archive a
# target, to be committed: thousands of files of a few bytes each would drown the repository's own.
set -eu

targets=$*
cd "$(dirname "$0")"

mkdir -p kept
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for target in ${targets:-$(cargo fuzz list)}; do
    mkdir -p "$work/$target"
    [ ! -d "corpus/$target" ] || cp -R "corpus/$target/." "$work/$target"
    # Long inputs are cut: what they reach, shorter ones mostly reach too.
    cargo fuzz cmin --release --debug-assertions --sanitizer none "$target" "$work/$target" -- -max_len=2048 -timeout=10
    # The same inputs make the same archive.
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cJf "kept/$target.tar.xz" -C "$work/$target" .
done
ls -l kept
