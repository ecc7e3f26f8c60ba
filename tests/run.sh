#!/usr/bin/env bash
# Checks a change: format, lints, documentation, all tests. Installs the missing tools that the tests need.
# Works from any folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Tools for administrators are not in the PATH of every user.
export PATH="$PATH:/usr/sbin:/sbin"

# command → its Debian package
declare -A needs=([git]=git [curl]=curl [jq]=jq [python3]=python3 [pip]=python3-pip [npm]=npm [node]=nodejs [chromium]=chromium [cc]=gcc [faketime]=faketime [ps]=procps
    [lslocks]=util-linux [unshare]=util-linux [nsenter]=util-linux [setpriv]=util-linux [prlimit]=util-linux [mount]=mount [strace]=strace [tinyproxy]=tinyproxy
    [ip]=iproute2 [nats-server]=nats-server [mkfs.ext4]=e2fsprogs [losetup]=mount [dpkg-shlibdeps]=dpkg-dev [strip]=binutils
    [munged]=munge [slurmctld]=slurmctld [slurmd]=slurmd [sbatch]=slurm-client)
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
# All features are on, so that their code is checked, too.
step cargo clippy --locked --all-features --all-targets -- -D warnings
# Without the optional features, as the README's first command builds it.
step cargo check --locked
RUSTDOCFLAGS="-D warnings" step cargo doc --locked --all-features --no-deps --quiet
if cargo nextest --version >/dev/null 2>&1; then
    # Half of the tests wait most of the time, so two of them share a core.
    step cargo nextest run --locked --all-features --test-threads "${NEXTEST_TEST_THREADS:-$(($(nproc) * 2))}"
else
    step cargo test --locked --all-features
fi
