#!/usr/bin/env bash
# Everything that decides whether a change is good: format, lints, all tests. What the tests need
# and the machine lacks is installed by name first. Run it from anywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# An administrator's tools are not in everybody's PATH.
export PATH="$PATH:/usr/sbin:/sbin"

# command in PATH → Debian package that brings it
declare -A needs=([git]=git [curl]=curl [jq]=jq [python3]=python3 [pip]=python3-pip [npm]=npm [node]=nodejs [cc]=gcc [faketime]=faketime [ps]=procps
    [lslocks]=util-linux [unshare]=util-linux [nsenter]=util-linux [setpriv]=util-linux [prlimit]=util-linux [mount]=mount [strace]=strace
    [ip]=iproute2 [mkfs.ext4]=e2fsprogs [losetup]=mount)
missing=()
for tool in "${!needs[@]}"; do
    command -v "$tool" >/dev/null || missing+=("${needs[$tool]}")
done
[ -x "$(git --exec-path 2>/dev/null)/git-http-backend" ] || missing+=(git)
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

step() {
    echo "== $*"
    "$@"
}

step cargo fmt --all -- --check
step cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --locked --no-deps --quiet
if cargo nextest --version >/dev/null 2>&1; then
    step cargo nextest run --locked
else
    step cargo test --locked
fi
