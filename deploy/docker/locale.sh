#!/bin/sh
# Makes the locales that ONNX Runtime's text operators ask for: locale.sh FOLDER
#
# Its sources are installed where they are missing, which takes root.
set -eu

if [ ! -e /usr/share/i18n/locales/en_US ] || ! command -v localedef >/dev/null; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends locales
    rm -rf /var/lib/apt/lists/*
fi
mkdir -p "$1"
# The C library looks for the charset's name in this form.
localedef --no-archive -i en_US -f UTF-8 "$1/en_US.utf8"
