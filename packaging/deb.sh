#!/usr/bin/env bash
# Builds a Debian package from a scanwatch binary:
#
#   packaging/deb.sh target/dist/scanwatch [FOLDER]
#
# The package is written to FOLDER (default: target/deb), and its path is printed. Needs the Debian packages
# dpkg-dev and binutils. DEBFULLNAME and DEBEMAIL set the maintainer, as for other tools of Debian.
set -euo pipefail

binary=$(realpath -- "${1:?which binary? packaging/deb.sh BINARY [FOLDER]}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "${2:-target/deb}"
out=$(realpath -- "${2:-target/deb}")

work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

# Files with the same content get the same date, so two builds of one commit are equal.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

put() { # MODE SOURCE TARGET
    install -D -m "$1" "$2" "$root/$3"
}

put 0755 "$binary" usr/bin/scanwatch
strip --strip-debug "$root/usr/bin/scanwatch"
scanwatch=$root/usr/bin/scanwatch
version=$("$scanwatch" --version | cut -d ' ' -f 2)
architecture=$(dpkg --print-architecture)

# The unit in this repository is for a manual installation in /usr/local.
sed 's|/usr/local/bin/|/usr/bin/|' packaging/scanwatch.service >"$work/unit"
put 0644 "$work/unit" usr/lib/systemd/system/scanwatch.service
# Not enabled: an agent needs settings and an enrolment.
sed 's|/usr/local/bin/|/usr/bin/|' packaging/scanwatch-agent.service >"$work/unit"
put 0644 "$work/unit" usr/lib/systemd/system/scanwatch-agent.service
put 0644 packaging/deb/sysusers.conf usr/lib/sysusers.d/scanwatch.conf
put 0644 packaging/deb/scanwatch.toml etc/scanwatch/scanwatch.toml
put 0600 packaging/deb/scanwatch.env etc/scanwatch/scanwatch.env

mkdir "$work/man"
"$scanwatch" man "$work/man"
for page in "$work"/man/*.1; do
    gzip --best --no-name "$page"
    put 0644 "$page.gz" "usr/share/man/man1/$(basename "$page").gz"
done
complete() { # SHELL TARGET
    "$scanwatch" completions "$1" >"$work/completions"
    put 0644 "$work/completions" "$2"
}
complete bash usr/share/bash-completion/completions/scanwatch
complete zsh usr/share/zsh/vendor-completions/_scanwatch
complete fish usr/share/fish/vendor_completions.d/scanwatch.fish

doc=usr/share/doc/scanwatch
gzip --best --no-name <CHANGELOG.md >"$work/changelog"
put 0644 "$work/changelog" "$doc/CHANGELOG.md.gz"
for example in prometheus/scanwatch-alerts.yaml grafana/scanwatch.json; do
    put 0644 "packaging/$example" "$doc/examples/$example"
done
{
    echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
    echo 'Upstream-Name: scanwatch'
    echo
    echo 'Files: *'
    echo "Copyright: $(sed -n 's/^Copyright (c) //p' LICENSE-MIT)"
    echo 'License: Expat or Apache-2.0'
    echo
    echo 'License: Expat'
    sed -n '/^Permission/,$p' LICENSE-MIT | sed 's/^$/./; s/^/ /'
    echo
    echo 'License: Apache-2.0'
    echo ' The full text is in /usr/share/common-licenses/Apache-2.0.'
} >"$work/copyright"
put 0644 "$work/copyright" "$doc/copyright"

# dpkg-shlibdeps finds the libraries that the binary needs, and their oldest versions. It wants a source package.
mkdir -p "$work/source/debian"
printf 'Source: scanwatch\n\nPackage: scanwatch\nArchitecture: any\n' >"$work/source/debian/control"
libraries=$(cd "$work/source" && dpkg-shlibdeps -O --ignore-missing-info "$scanwatch" 2>/dev/null |
    sed -n 's/^shlibs:Depends=//p')

mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<END
Package: scanwatch
Version: $version
Architecture: $architecture
Maintainer: ${DEBFULLNAME:-The scanwatch developers} <${DEBEMAIL:-scanwatch@localhost}>
Installed-Size: $(du --summarize --apparent-size --block-size=1024 "$root" | cut -f 1)
Depends: ${libraries:+$libraries, }git (>= 1:2.39), systemd | systemd-standalone-sysusers | systemd-sysusers
Recommends: ca-certificates
Section: devel
Priority: optional
Description: scans git repositories for their dependencies
 scanwatch lists the packages that the repositories of an organisation depend
 on. Each repository is scanned by a process of its own, and clients follow
 the progress live, over HTTP or in the terminal. No database is needed.
END
(cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | sort --zero-terminated | xargs --null md5sum) >"$root/DEBIAN/md5sums"
for script in postinst prerm postrm; do
    install -m 0755 "packaging/deb/$script" "$root/DEBIAN/$script"
done

package=$out/scanwatch_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
