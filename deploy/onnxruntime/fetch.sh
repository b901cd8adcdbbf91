#!/bin/sh
# Puts the pinned ONNX Runtime library into a folder: fetch.sh FOLDER
#
# The library is taken out of the official wheel on PyPI, whose digest pip checks (requirements.txt beside this script). It
# appears in the folder only when it is whole.
set -eu

folder=$1
here=$(cd "$(dirname "$0")" && pwd)
case $(uname -m) in
    x86_64 | amd64) processor=x86_64 ;;
    aarch64 | arm64) processor=aarch64 ;;
    *)
        echo "fetch.sh: no official ONNX Runtime for $(uname -m); scoria runs on its embedded engine without one" >&2
        exit 1
        ;;
esac

mkdir -p "$folder"
work=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --implementation cp --python-version 3.12 --abi cp312 --platform "manylinux_2_28_$processor" \
    --dest "$work" --requirement "$here/requirements.txt"

python3 - "$work" <<'PYTHON'
import pathlib, sys, zipfile

work = pathlib.Path(sys.argv[1])
(wheel,) = work.glob("onnxruntime-*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        file = pathlib.PurePosixPath(name).name
        if file.startswith("libonnxruntime.so") or file in ("LICENSE", "ThirdPartyNotices.txt"):
            (work / file).write_bytes(archive.read(name))
PYTHON

rm "$work"/*.whl
mv -f "$work"/LICENSE "$work"/ThirdPartyNotices.txt "$folder"
mv -f "$work"/libonnxruntime.so.* "$folder"
