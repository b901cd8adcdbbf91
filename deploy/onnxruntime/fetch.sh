#!/bin/sh
# Puts the pinned ONNX Runtime library into a folder: fetch.sh FOLDER [cpu|gpu]
#
# The library, and for gpu those of its CUDA and TensorRT providers, is taken out of the official wheel on PyPI, whose digest
# pip checks (cpu.txt and gpu.txt beside this script). It appears in the folder only when it is whole.
set -eu

folder=$1
kind=${2:-cpu}
here=$(cd "$(dirname "$0")" && pwd)
case $(uname -m) in
    x86_64 | amd64) processor=x86_64 ;;
    aarch64 | arm64) processor=aarch64 ;;
    *)
        echo "fetch.sh: no official ONNX Runtime for $(uname -m); scoria runs on its embedded engine without one" >&2
        exit 1
        ;;
esac
case $kind-$processor in
    cpu-* | gpu-x86_64) ;;
    gpu-*)
        echo "fetch.sh: no official ONNX Runtime with GPU providers for $processor; it is built for x86_64 only" >&2
        exit 1
        ;;
    *)
        echo "fetch.sh: '$kind' is neither cpu nor gpu" >&2
        exit 2
        ;;
esac

mkdir -p "$folder"
work=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --implementation cp --python-version 3.12 --abi cp312 --platform "manylinux_2_28_$processor" \
    --dest "$work" --requirement "$here/$kind.txt"

python3 - "$work" "$kind" <<'PYTHON'
import pathlib, shutil, sys, zipfile

work = pathlib.Path(sys.argv[1])
(wheel,) = work.glob("onnxruntime*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        file = pathlib.PurePosixPath(name).name
        # Providers' libraries are looked for beside the main one. Without them, it has the processor.
        is_provider = sys.argv[2] == "gpu" and file.startswith("libonnxruntime_providers_")
        if is_provider or file.startswith("libonnxruntime.so") or file in ("LICENSE", "ThirdPartyNotices.txt"):
            with archive.open(name) as source, open(work / file, "wb") as target:
                shutil.copyfileobj(source, target)
PYTHON

rm "$work"/*.whl
# The main library last: whoever finds it finds the others.
for file in "$work"/LICENSE "$work"/ThirdPartyNotices.txt "$work"/libonnxruntime_providers_*.so "$work"/libonnxruntime.so.*; do
    [ ! -e "$file" ] || mv -f "$file" "$folder"
done
