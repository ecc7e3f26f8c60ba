#!/usr/bin/env bash
# Makes the files of a release from a scanwatch binary:
#
#   packaging/release.sh target/dist/scanwatch [FOLDER]
#
# FOLDER (default: target/release-files) gets an archive with the binary and what belongs to it, a Debian package, bills of
# materials of scanwatch (CycloneDX, SPDX), which scanwatch writes itself, and the SHA-256 sums of all of them.
set -euo pipefail

binary=$(realpath -- "${1:?which binary? packaging/release.sh BINARY [FOLDER]}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "${2:-target/release-files}"
out=$(realpath -- "${2:-target/release-files}")
rm -f "$out"/scanwatch[-_]* "$out/SHA256SUMS"

work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
umask 022
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

version=$("$binary" --version | cut -d ' ' -f 2)
name=scanwatch-$version-$(uname -m)-linux

# The archive.
mkdir -p "$work/$name/man"
install -m 0755 "$binary" "$work/$name/scanwatch"
strip --strip-debug "$work/$name/scanwatch"
"$binary" man "$work/$name/man"
for shell in bash zsh fish elvish powershell; do
    mkdir -p "$work/$name/completions"
    "$binary" completions "$shell" >"$work/$name/completions/$shell"
done
cp -r README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT docs config packaging "$work/$name/"
tar --create --gzip --file "$out/$name.tar.gz" --directory "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
    --owner=0 --group=0 --numeric-owner "$name"

# The package.
packaging/deb.sh "$binary" "$out" >/dev/null

# The bills of materials: of what the binary is built from, and not of the tests' fixtures.
mkdir "$work/scanwatch"
cp Cargo.toml Cargo.lock "$work/scanwatch/"
"$binary" scan "$work/scanwatch" --format cyclonedx --output "$out/scanwatch-$version.cdx.json"
"$binary" scan "$work/scanwatch" --format spdx --output "$out/scanwatch-$version.spdx.json"

chmod 0644 "$out"/*.json
cd "$out"
sha256sum scanwatch[-_]* >SHA256SUMS
ls -1 "$out"
