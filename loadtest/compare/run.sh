#!/bin/sh
# Measures Scoria beside other servers of the same models (see README.md beside this file). Arguments go to `python -m compare`.
#
#   SCORIA_ORT_LIB  Scoria's ONNX Runtime library (`make compare` sets it)
#   PYTHON          the Python of the environments; 3.11 is what the pins are for
set -eu

loadtest=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$loadtest/.." && pwd)
venv=$loadtest/.peers/compare

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

[ -f "${SCORIA_ORT_LIB:-}" ] || fail "SCORIA_ORT_LIB names no library; run this as: make compare"
python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "$python is missing"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || fail "$python cannot make a virtual environment (python3-venv)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$loadtest/compare/requirements.txt"

# One after the other: built together, the server would get what the generator needs of the crates that they share.
(cd "$root" && cargo build --release --locked && cargo build --release --locked --package scoria-loadtest)

# Otherwise the Python package of ONNX Runtime calls home.
export ORT_DISABLE_TELEMETRY=1 SCORIA_ORT_LIB PYTHONPATH="$loadtest"
"$venv/bin/python" "$loadtest/models/make.py"
exec "$venv/bin/python" -m compare "$@"
