#!/bin/sh
# Train all the models again and rewrite SHA256SUMS.
#
#     models/rebuild.sh                 with python3
#     PYTHON=python3.11 models/rebuild.sh
#
# The packages go to a temporary folder that is removed at the end. A script
# whose model scores below its floor, or fails a check, stops the rebuild and
# leaves that model's files as they were (see finish.py).
#
# Rebuilds are byte-identical on one machine with one Python version. Elsewhere
# they need not be: other processors round differently, and text-encoder learns
# from the docstrings of the Python that runs it. SHA256SUMS therefore says which
# files belong together, not what every rebuild must give.
set -eu

cd "$(dirname "$0")"
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
trap 'exit 1' HUP INT TERM

# One thread: as fast for models this small, and sums are always in one order.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt

for script in */train.py; do
    "$venv/bin/python" "$script"
done

sha256sum -- */1/model.onnx >SHA256SUMS.new
mv SHA256SUMS.new SHA256SUMS
cat SHA256SUMS
