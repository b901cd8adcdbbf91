#!/bin/sh
# The long form of test_mixed_traffic.py: `make mix`. Arguments go to pytest.
#
#   SCORIA_BIN           a server to test instead of building one
#   SCORIA_ORT_LIB       its ONNX Runtime library (`make mix` sets it)
#   SCORIA_MIX_REQUESTS  requests of each client
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tests/../.." && pwd)
venv=$root/.venv

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$tests/requirements.txt"
if [ -z "${SCORIA_BIN:-}" ]; then
    (cd "$root" && cargo build --release --locked)
    SCORIA_BIN=$root/target/release/scoria
fi
export SCORIA_BIN
# Otherwise the Python package of ONNX Runtime calls home.
export ORT_DISABLE_TELEMETRY=1
exec "$venv/bin/python" -m pytest -c "$tests/pytest.ini" --rootdir "$tests" "$tests/test_mixed_traffic.py" -s "$@"
