#!/bin/sh
# Tests the server with real programs, from numpy and curl to Chromium, nginx, testssl and generators of clients. Arguments go to
# pytest.
#
#   SCORIA_BIN      a server to test instead of building one
#   SCORIA_ORT_LIB  its ONNX Runtime library (`make test-real` sets it)
#
# A program that is missing and cannot be installed fails the run: nothing is skipped.
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tests/../.." && pwd)
venv=$root/.venv
clients=$root/.venv-grpc
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

# A program of a package that would start a service, so that it is only unpacked: its name, the package, and the packages of
# libraries that it needs.
unpack_program() {
    program=$1 package=$2
    shift 2
    command -v "$program" >/dev/null && return
    command -v apt-get >/dev/null || fail "$program is missing, and there is no apt-get to fetch $package with"
    folder=$(mktemp -d)
    apt-get update -qq
    if [ $# -gt 0 ]; then
        [ "$(id -u)" = 0 ] || fail "$program needs libraries; install them with: apt-get install $*"
        apt-get install -qq -y --no-install-recommends "$@" >/dev/null || fail "apt-get could not install $*"
    fi
    (cd "$folder" && apt-get download -qq "$package") || fail "apt-get could not download $package, which has $program"
    dpkg -x "$folder/$package"_*.deb "$folder/files"
    cp "$(find "$folder/files" -path "*bin/$program" -type f)" "$venv/bin/$program" || fail "$package brings no $program"
    rm -r "$folder"
}

command -v python3 >/dev/null || fail "python3 is missing"
# A folder with Python and what a file of requirements names.
environment() {
    [ -x "$1/bin/python" ] || python3 -m venv "$1" || fail "python3 cannot make a virtual environment (python3-venv)"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$2"
}
environment "$venv" "$tests/requirements.txt"
environment "$clients" "$tests/grpc_clients/requirements.txt"

# What is unpacked goes there; some systems keep servers where only root looks.
PATH=$venv/bin:$PATH:/usr/sbin

install_program curl curl
install_program chromium chromium
install_program openssl openssl
install_program strace strace
install_program testssl testssl.sh
install_program node nodejs
install_program npm npm
(cd "$tests/clients" && npm ci --silent) || fail "npm could not install what tests/real/clients/package-lock.json names"
(cd "$tests/registry/emulators" && npm ci --silent) || fail "npm could not install what tests/real/registry/emulators names"
install_program prlimit util-linux
install_program slowhttptest slowhttptest
unpack_program promtool prometheus
unpack_program nginx nginx libpcre2-8-0
unpack_program haproxy haproxy liblua5.3-0 libopentracing-c-wrapper0

if [ -z "${SCORIA_BIN:-}" ]; then
    cargo build --release --locked
    SCORIA_BIN=$root/target/release/scoria
fi
[ -x "$SCORIA_BIN" ] || fail "there is no program $SCORIA_BIN"
[ -f "${SCORIA_ORT_LIB:-}" ] || fail "SCORIA_ORT_LIB names no library; run this as: make test-real"

export SCORIA_BIN SCORIA_ORT_LIB PATH
# Otherwise the Python package of ONNX Runtime calls home.
export ORT_DISABLE_TELEMETRY=1
# What `make compare` computes with and reports; no server is measured.
PYTHONPATH=$root/loadtest "$venv/bin/python" -m pytest -c "$tests/pytest.ini" --rootdir "$root/loadtest" "$root/loadtest/compare/tests"
# And what `loadtest/gpu.sh` does, without a GPU.
PYTHONPATH=$root/loadtest:$root/loadtest/models "$venv/bin/python" -m pytest -c "$tests/pytest.ini" --rootdir "$root/loadtest" \
    "$root/loadtest/gpu/tests"
# Each file by itself: the clients of Triton and of KServe both bring the protocol's messages, which a process can load once.
for file in "$tests"/grpc_clients/test_*.py; do
    "$clients/bin/python" -m pytest -c "$tests/pytest.ini" --rootdir "$tests" "$file"
done
exec "$venv/bin/python" -m pytest -c "$tests/pytest.ini" --rootdir "$tests" --ignore "$tests/grpc_clients" "$tests" "$@"
