#!/bin/sh
# Fetches Swagger UI from npm, checks it by digest, and writes the files beside this script that the server holds in its binary.
# `make swagger-ui` runs it. For another version change the two lines below; npm says the digest:
#
#   npm view swagger-ui-dist@VERSION dist.integrity
#
# The package is unpacked and never installed: its install script, of a dependency, reports to a third party.
set -eu

version=5.35.0
sha512=U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==

here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "fetch.sh: $*" >&2
    exit 1
}

for program in npm openssl gzip sha256sum; do
    command -v "$program" >/dev/null || fail "$program is missing"
done

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cd "$folder"
npm pack --silent "swagger-ui-dist@$version" >/dev/null || fail "npm could not fetch swagger-ui-dist@$version"
got=$(openssl dgst -sha512 -binary "swagger-ui-dist-$version.tgz" | openssl base64 -A)
[ "$got" = "$sha512" ] || fail "swagger-ui-dist@$version: expected SHA-512 $sha512, got $got; not used"
tar -xzf "swagger-ui-dist-$version.tgz"
cd package

# Digests of the files as npm has them, since each gzip compresses in its own way.
sha256sum swagger-ui-bundle.js swagger-ui.css swagger-ui-bundle.js.LICENSE.txt LICENSE NOTICE favicon-32x32.png \
    >"$here/SHA256SUMS"
for name in swagger-ui-bundle.js swagger-ui.css; do
    gzip -9 --no-name --stdout "$name" >"$here/$name.gz"
done
install -m 644 swagger-ui-bundle.js.LICENSE.txt LICENSE NOTICE favicon-32x32.png "$here"
