#!/bin/sh
# Tests the server with real programs, from numpy and curl to Chromium, testssl and generators of clients. Arguments go to pytest.
#
#   SCORIA_BIN      a server to test instead of building one
#   SCORIA_ORT_LIB  its ONNX Runtime library (`make test-real` sets it)
#
# A program that is missing and cannot be installed fails the run: nothing is skipped.
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tests/../.." && pwd)
venv=$root/.venv
cd "$root"

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

# Debian's name of a program, which is installed if the program is not there.
install_program() {
    command -v "$1" >/dev/null && return
    command -v apt-get >/dev/null || fail "$1 is missing, and there is no apt-get to install $2 with"
    [ "$(id -u)" = 0 ] || fail "$1 is missing; install it with: apt-get install $2"
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "$2" >/dev/null || fail "apt-get could not install $2"
    command -v "$1" >/dev/null || fail "$2 is installed but brings no $1"
}

# promtool comes in a package that would start a service, so it is only unpacked.
unpack_promtool() {
    command -v promtool >/dev/null && return
    if [ ! -x "$venv/bin/promtool" ]; then
        command -v apt-get >/dev/null || fail "promtool is missing, and there is no apt-get to fetch prometheus with"
        folder=$(mktemp -d)
        apt-get update -qq
        (cd "$folder" && apt-get download -qq prometheus) \
            || fail "apt-get could not download prometheus, which promtool is part of"
        dpkg -x "$folder"/prometheus_*.deb "$folder/files"
        cp "$folder/files/usr/bin/promtool" "$venv/bin/promtool"
        rm -r "$folder"
    fi
    PATH=$venv/bin:$PATH
}

command -v python3 >/dev/null || fail "python3 is missing"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv" || fail "python3 cannot make a virtual environment (python3-venv)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$tests/requirements.txt"

install_program curl curl
install_program chromium chromium
install_program openssl openssl
install_program strace strace
install_program testssl testssl.sh
install_program node nodejs
install_program npm npm
(cd "$tests/clients" && npm ci --silent) || fail "npm could not install what tests/real/clients/package-lock.json names"
unpack_promtool

if [ -z "${SCORIA_BIN:-}" ]; then
    cargo build --release --locked
    SCORIA_BIN=$root/target/release/scoria
fi
[ -x "$SCORIA_BIN" ] || fail "there is no program $SCORIA_BIN"
[ -f "${SCORIA_ORT_LIB:-}" ] || fail "SCORIA_ORT_LIB names no library; run this as: make test-real"

export SCORIA_BIN SCORIA_ORT_LIB PATH
# Otherwise the Python package of ONNX Runtime calls home.
export ORT_DISABLE_TELEMETRY=1
exec "$venv/bin/python" -m pytest -c "$tests/pytest.ini" --rootdir "$tests" "$tests" "$@"
