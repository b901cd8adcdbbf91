#!/usr/bin/env bash
# Measures a server that it starts with Triton's perf_analyzer: over REST and gRPC, with JSON and binary tensors, and with tensors
# in shared memory. The numbers compare servers on one machine, where client and server share the cores.
#
#   loadtest/perf_analyzer.sh [REQUESTS [CONCURRENCY]]    requests of each window (2000), and how many at once (1:4:3)
#
#   SCORIA_BIN      the server (default: target/release/scoria)
#   SCORIA_ORT_LIB  its ONNX Runtime library
#   PERF_VENV       where the client is installed (default: loadtest/.perf-analyzer)
#
# The program comes in older wheels of tritonclient: those from 2.52 on need glibc 2.38, the package perf-analyzer is empty. It
# needs libcudart, though no GPU, and libb64.
set -euo pipefail

requests=${1:-2000}
concurrency=${2:-1:4:3}
here=$(cd "$(dirname "$0")" && pwd)
root=$here/..
venv=${PERF_VENV:-$here/.perf-analyzer}
server=${SCORIA_BIN:-$root/target/release/scoria}
model=ridge

fail() {
    echo "perf_analyzer.sh: $*" >&2
    exit 1
}

[ -x "$server" ] || fail "there is no program $server; set SCORIA_BIN, or run: cargo build --release"
if [ ! -x "$venv/bin/perf_analyzer" ]; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "tritonclient[all]==2.51.0" nvidia-cuda-runtime-cu12
fi
if ! ldconfig -p | grep -q libb64; then
    command -v apt-get >/dev/null || fail "libb64 is missing"
    apt-get install -qq -y --no-install-recommends libb64-0d >/dev/null || fail "install libb64 with: apt-get install libb64-0d"
fi
cudart=$(find "$venv" -name libcudart.so.12 -print -quit)
[ -n "$cudart" ] || fail "the wheel nvidia-cuda-runtime-cu12 brings no libcudart.so.12"

work=$(mktemp -d)
"$server" serve "$root/models/$model" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --auth none \
    --system-shared-memory --drain-delay-ms 0 --state-dir "$work/state" >"$work/out" 2>"$work/err" &
process=$!
trap 'kill "$process" 2>/dev/null || true; wait "$process" 2>/dev/null || true; rm -rf "$work"' EXIT

address=
for _ in $(seq 100); do
    address=$(sed -n 's|^ *score  *http://\([^/]*\)/.*|\1|p' "$work/out" | head -n 1)
    [ -z "$address" ] || break
    kill -0 "$process" 2>/dev/null || fail "the server ended: $(cat "$work/err")"
    sleep 0.1
done
[ -n "$address" ] || fail "the server did not start: $(cat "$work/err")"

# Three windows in sequence make a row. How much they differ is the machine's affair: any difference will do.
failures=0
measure() {
    local title=$1
    shift
    if ! LD_LIBRARY_PATH=$(dirname "$cudart") timeout $((60 + requests / 50)) "$venv/bin/perf_analyzer" -m "$model" -u "$address" \
        --percentile 99 --measurement-mode count_windows --measurement-request-count "$requests" -s 999 \
        --concurrency-range "$concurrency" -f "$work/row.csv" "$@" >"$work/log" 2>&1; then
        failures=$((failures + 1))
        echo "FAILED  $title"
        grep -iE "error|fail|unable" "$work/log" | head -n 5 || tail -n 5 "$work/log"
        return
    fi
    # Concurrency, requests a second, and the 50th and 99th percentile of the latency in microseconds.
    awk -F, -v title="$title" 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
        NF > 1 { printf "%-28s %4d at once %10.0f /s   p50 %6d us   p99 %6d us\n", title, $1, $2, $column["p50 latency"], $column["p99 latency"] }' \
        "$work/row.csv"
}

measure "REST, binary" -i http --input-tensor-format binary --output-tensor-format binary
measure "REST, JSON" -i http --input-tensor-format json --output-tensor-format json
measure "REST, asynchronous, 8 rows" -i http -a -b 8
measure "REST, shared memory" -i http --shared-memory system --output-shared-memory-size 4096
measure "gRPC" -i grpc
measure "gRPC, streaming" -i grpc --streaming
measure "gRPC, gzip" -i grpc --grpc-compression-algorithm gzip
measure "gRPC, shared memory" -i grpc --shared-memory system --output-shared-memory-size 4096
[ "$failures" -eq 0 ] || fail "$failures of the measurements failed"
