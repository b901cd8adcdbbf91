#!/bin/sh
# Runs the commands of the Dockerfile's stages in a plain folder, where no image can be built, and then the result:
#
#   stages.sh [--server FOLDER] [--runtime FOLDER] MODEL REQUEST
#
#   --server   a folder with a built server, instead of building one as it is shipped (which takes minutes)
#   --runtime  a folder as deploy/onnxruntime/fetch.sh leaves it, instead of fetching
#   MODEL      what the image's /models is to be, with at least one model
#   REQUEST    a scoring request for its first model, in a file
#
# As root, the server runs as in a container with a read-only root: alone with the libraries that the base image has, as the
# user that the Dockerfile names, without any capability, with nothing to write to but its state folder. Otherwise it runs as
# who calls, on the files as they were laid out, and only their permissions are in its way. The last lines say which it was,
# what the health check said, and what scoring answered.
set -eu

usage() {
    echo "usage: stages.sh [--server FOLDER] [--runtime FOLDER] MODEL REQUEST" >&2
    exit 2
}

fail() {
    echo "stages.sh: $*" >&2
    cat "$work/log" >&2 2>/dev/null || true
    exit 1
}

server='' runtime=''
while [ $# -gt 2 ]; do
    case $1 in
        --server) server=$2 ;;
        --runtime) runtime=$2 ;;
        *) usage ;;
    esac
    shift 2
done
[ $# = 2 ] || usage
repository=$(cd "$(dirname "$0")/../.." && pwd)
models=$(cd "$1" && pwd)
request=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
work=$(mktemp -d)
pid=''
clean_up() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    wait
    chmod -R u+w "$work"
    rm -rf "$work"
}
trap clean_up EXIT

# Stage "build": what is copied, then the script.
if [ -z "$server" ]; then
    mkdir -p "$work/src/deploy/docker"
    cp "$repository/Cargo.toml" "$repository/Cargo.lock" "$work/src"
    mkdir "$work/src/loadtest"
    cp "$repository/loadtest/Cargo.toml" "$work/src/loadtest"
    cp "$repository/build.rs" "$work/src"
    cp -R "$repository/schemas" "$work/src/schemas"
    cp -R "$repository/assets" "$work/src/assets"
    cp -R "$repository/src" "$work/src/src"
    cp "$repository/deploy/docker/build.sh" "$work/src/deploy/docker"
    server=$work/server
    (cd "$work/src" && deploy/docker/build.sh "$server")
fi

# Stage "runtime-cpu".
if [ -z "$runtime" ]; then
    runtime=$work/runtime
    "$repository/deploy/onnxruntime/fetch.sh" "$runtime" cpu
fi

# Stage "locale-cpu": where its sources are, so that nothing is installed on this machine.
root=$work/root
if [ -e /usr/share/i18n/locales/en_US ]; then
    "$repository/deploy/docker/locale.sh" "$root/usr/lib/locale"
fi

# Stage "cpu".
if [ "$(id -u)" = 0 ]; then
    user=10001 group=10001
else
    # Who is not root cannot give files away.
    user=$(id -u) group=$(id -g)
fi
"$repository/deploy/docker/install.sh" "$root" "$server" "$runtime" "$user" "$group"

# What the base image has of its own, as far as it is needed: the C and C++ libraries.
copy_libraries() {
    ldd "$root/usr/local/bin/scoria" "$root"/usr/local/lib/libonnxruntime.so.* >"$work/libraries"
    ! grep 'not found' "$work/libraries" || fail "a library is missing"
    sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\) .*/\1/p' "$work/libraries" | sort -u |
        while read -r library; do
            case $library in
                "$root"/*) continue ;;
            esac
            mkdir -p "$root$(dirname "$library")"
            cp -L "$library" "$root$library"
        done
}

settings='SCORIA_LISTEN=127.0.0.1:0 SCORIA_ADMIN_LISTEN=127.0.0.1:0 SCORIA_DRAIN_DELAY_MS=0'
mkfifo "$work/out"
if [ "$(id -u)" = 0 ]; then
    view="alone"
    state=$root/var/lib/scoria
    copy_libraries
    mkdir -p "$root/proc"
    # shellcheck disable=SC2016,SC2086 # The inner shell expands its own arguments; settings are words.
    unshare --mount sh -euc '
        root=$1 models=$2 user=$3 group=$4; shift 4
        mount --bind "$root" "$root"
        mount --bind -o ro "$models" "$root/models"
        mount -o remount,bind,ro "$root/models"
        mount --rbind /proc "$root/proc"
        mount --bind "$root/var/lib/scoria" "$root/var/lib/scoria"
        mount -o remount,bind,ro "$root"
        exec env -i PATH="$PATH" "$@" chroot --userspec="$user:$group" --groups= "$root" /usr/local/bin/scoria serve /models
    ' stages.sh "$root" "$models" "$user" "$group" $settings SCORIA_STATE_DIR=/var/lib/scoria SCORIA_ORT_LIB=/usr/local/lib \
        >"$work/out" 2>"$work/log" &
else
    view="among the files of this machine"
    state=$root/var/lib/scoria
    chmod -R a-w "$root/usr" "$root/models"
    # shellcheck disable=SC2086 # Settings are words.
    env -i $settings SCORIA_STATE_DIR="$state" SCORIA_ORT_LIB="$root/usr/local/lib" \
        "$root/usr/local/bin/scoria" serve "$models" >"$work/out" 2>"$work/log" &
fi
pid=$!

# The banner ends with the admin port's line; the scoring URIs come before it.
uri='' admin=''
while [ -z "$admin" ] && read -r word value _; do
    case $word in
        score) uri=${uri:-$value} ;;
        admin) admin=${value%/metrics} ;;
    esac
done <"$work/out"
[ -n "$admin" ] || fail "the server ended before it was ready"
[ -n "$uri" ] || fail "no model is served"

name=${uri%/score}
health=$("$root/usr/local/bin/scoria" health --url "$admin/readyz") || fail "it is not healthy"
key=$(cat "$state/keys/${name##*/}.primary.key")
answer=$(curl -sS --fail-with-body -H 'Content-Type: application/json' -H "Authorization: Bearer $key" -d "@$request" "$uri") ||
    fail "scoring was refused: $answer"
# What it could do, as the kernel has it.
capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' "/proc/$pid/status")
runs_as=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$pid/status")
root_is=$(awk '$5 == "/" { split($6, options, ","); view = options[1] } END { print view }' "/proc/$pid/mountinfo")
kill -TERM "$pid"
wait "$pid" || fail "it did not end well"
pid=''
echo "ran $view: user $runs_as, capabilities $capabilities, root $root_is"
echo "health: $health"
echo "answer: $answer"
