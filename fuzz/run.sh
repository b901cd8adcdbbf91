#!/bin/sh
# Fuzzes each target for so many seconds: run.sh SECONDS [TARGET…]
#
# A target starts from what was kept of earlier runs (kept/), from the hand-made seeds (seeds/), and from what runs on this
# machine have found (corpus/, which is not committed). It fails on a crash, on a broken promise, on memory beyond the bound
# that the target states, on 2 GB in all, and on an input that takes more than a second of the processor, or ten of the clock.
# The input is then in artifacts/.
set -eu

seconds=$1
shift
targets=$*
cd "$(dirname "$0")"

command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
for target in ${targets:-$(cargo fuzz list)}; do
    case $target in
        # Beyond this, a query is long enough to be parsed by another thread, which the target's runtime has not.
        http) max_len=8192 ;;
        *) max_len=65538 ;;
    esac
    mkdir -p "corpus/$target"
    [ ! -f "kept/$target.tar.xz" ] || tar -xJf "kept/$target.tar.xz" -C "corpus/$target"
    # Without a sanitizer, since the code is safe Rust: what is looked for are panics, memory and time. Overflows panic.
    cargo fuzz run --release --debug-assertions --sanitizer none "$target" "corpus/$target" "seeds/$target" -- \
        "-max_total_time=$seconds" "-max_len=$max_len" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1
done
