#!/bin/sh
# Lays out an image's files: install.sh ROOT SERVER RUNTIME USER GROUP
#
#   ROOT         where the image's / is
#   SERVER       a folder with the server
#   RUNTIME      a folder with ONNX Runtime, as deploy/onnxruntime/fetch.sh leaves it
#
#   USER, GROUP  whom the folder of the server's state belongs to, by number; keys are made there on the first start
#
# All the rest belongs to who calls, and is for reading.
set -eu

root=${1%/}
licenses=$root/usr/local/share/doc/onnxruntime
install -d "$root/usr/local/bin" "$root/usr/local/lib" "$licenses" "$root/models"
install -m 0755 "$2/scoria" "$root/usr/local/bin/scoria"
# Found there because it is ../lib of the executable.
install -m 0644 "$3"/libonnxruntime*.so* "$root/usr/local/lib"
install -m 0644 "$3/LICENSE" "$3/ThirdPartyNotices.txt" "$licenses"
install -d -m 0700 -o "$4" -g "$5" "$root/var/lib/scoria"
