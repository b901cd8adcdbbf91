#!/bin/sh
# Builds the server as it is shipped, and puts it into a folder: build.sh FOLDER
set -eu

cargo build --profile dist --locked
mkdir -p "$1"
cp "${CARGO_TARGET_DIR:-target}/dist/scoria" "$1/scoria"
