#!/bin/bash
# Puts what a release has into build/release: the npm package, the Debian package, the canister's Wasm with its Candid, and the hashes of
# all of them. The same commit gives the same bytes. Run by make, when dist/, the manual and the canister are built.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
# Debian's npm uses interfaces that this Node has deprecated, and Node would warn of each.
export NODE_NO_WARNINGS=1

rm -rf build/release
mkdir -p build/release
npm pack --ignore-scripts --silent --pack-destination build/release >/dev/null
cp "$(packaging/deb.sh)" build/icfs.wasm build/icfs.did build/release/
cd build/release
LC_ALL=C sha256sum -- * >../SHA256SUMS
mv ../SHA256SUMS .
cat SHA256SUMS
