#!/usr/bin/env bash
# Measures Scoria on an NVIDIA GPU beside ONNX Runtime called in-process on the same GPU: see gpu/README.md.
#
#   loadtest/gpu.sh [--rounds N] [--models resnet50,bert-base,mlp] [--precisions fp32,fp16] …    --help lists the rest
#   loadtest/gpu.sh --dry-run-on-cpu      the whole script without a GPU, with tiny models, to see that it runs
#
# Without these it builds the programs and makes a Python environment, for which it needs Rust and the network:
#   --scoria PROGRAM  --loadtest PROGRAM  --ort-lib FILE-OR-FOLDER  --python PYTHON
#
# Ends with 0 if all was right and measured, 1 if something was not, 2 for a mistake on the command line, 3 without GPU.
set -euo pipefail

loadtest=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$loadtest/.." && pwd)

fail() {
    echo "gpu.sh: $*" >&2
    exit 1
}

python='' scoria='' generator='' dry=''
arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
        --python=* | --scoria=* | --loadtest=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    case $1 in
        --python) python=${2:?gpu.sh: --python names no program} && shift ;;
        --scoria) scoria=${2:?gpu.sh: --scoria names no program} && shift ;;
        --loadtest) generator=${2:?gpu.sh: --loadtest names no program} && shift ;;
        --dry-run-on-cpu) dry=yes ;;
        --help | -h) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" ;;
    esac
    shift
done
set -- "${arguments[@]}"

is_help() { [[ " ${arguments[*]} " =~ \ (--help|-h)\  ]]; }

if [ -z "$dry" ] && ! is_help; then
    gpus=$(nvidia-smi -L 2>/dev/null || true)
    if [[ $gpus != *GPU* ]]; then
        echo "gpu.sh: no NVIDIA GPU was found (nvidia-smi -L lists none), so nothing is measured" >&2
        echo "gpu.sh: --dry-run-on-cpu tries the script without one" >&2
        exit 3
    fi
    echo "$gpus" >&2
fi

if [ -z "$python" ]; then
    venv=$loadtest/.gpu/venv requirements=$loadtest/gpu/requirements.txt
    [ -z "$dry" ] || venv=$loadtest/.gpu/venv-dry requirements=$loadtest/compare/requirements.txt
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" ||
        fail "python3 cannot make a virtual environment (python3-venv)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    python=$venv/bin/python
fi
command -v "$python" >/dev/null ||
    fail "there is no program $python; --python names a Python with numpy, onnx, onnxruntime-gpu and nvidia-ml-py"

if ! is_help; then
    # One after the other: built together, the server would get what the generator needs of the crates that they share.
    [ -n "$scoria" ] || (cd "$root" && cargo build --release --locked)
    [ -n "$generator" ] || (cd "$root" && cargo build --release --locked --package scoria-loadtest)
fi

# What lies in Python's packages is found neither by the server nor by ONNX Runtime otherwise.
libraries=$("$python" "$root/deploy/onnxruntime/cuda.py" --path)
export LD_LIBRARY_PATH=$libraries${libraries:+${LD_LIBRARY_PATH:+:}}${LD_LIBRARY_PATH:-}
# Otherwise the Python package of ONNX Runtime calls home.
export ORT_DISABLE_TELEMETRY=1 PYTHONPATH=$loadtest:$loadtest/models${PYTHONPATH:+:$PYTHONPATH}
exec "$python" -m gpu "$@"
