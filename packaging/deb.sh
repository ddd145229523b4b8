#!/bin/bash
# Builds build/icfs_VERSION_ARCH.deb from what `make install` installs. The same sources give the same bytes.
#
# From the environment: VERSION, instead of package.json's; SOURCE_DATE_EPOCH, instead of the last commit's (or CHANGELOG.md's) time;
# DEBFULLNAME and DEBEMAIL, whose package it is.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

command -v dpkg-deb >/dev/null || {
  echo "deb: there is no dpkg-deb: apt install dpkg" >&2
  exit 1
}
version=${VERSION:-$(node --print 'require("./package.json").version')}
architecture=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-icfs maintainers} <${DEBEMAIL:-maintainers@icfs.invalid}>"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat --format=%Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH

package=build/icfs_${version}_$architecture.deb
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"

# In Debian 12 and later /sbin is a link to /usr/sbin, through which mount(8) finds the helpers.
DESTDIR=$tree PREFIX=/usr SBINDIR=/usr/sbin ZSHDIR=/usr/share/zsh/vendor-completions packaging/install.sh install

doc=$tree/usr/share/doc/icfs
mkdir -p "$doc" "$tree/DEBIAN" "$tree/etc/icfs" "$tree/var/cache/icfs-node"
install -D -m 644 packaging/debian/lintian-overrides "$tree/usr/share/lintian/overrides/icfs"
install -D -m 644 packaging/debian/icfs.logrotate "$tree/etc/logrotate.d/icfs"
echo /etc/logrotate.d/icfs >"$tree/DEBIAN/conffiles"
node packaging/copyright.ts "$tree/usr/lib/icfs" >"$doc/copyright"
node packaging/changelog.ts "$version" "$maintainer" "$SOURCE_DATE_EPOCH" | gzip -9n >"$doc/changelog.gz"
find "$tree/usr/share/man" -type f -exec gzip -9n {} +

for script in postinst prerm postrm; do
  install -m 755 "packaging/debian/$script" "$tree/DEBIAN/$script"
done
# As Debian counts it (deb-substvars(5)), which does not depend on how large a file system makes directories.
installed_size() {
  find "$tree/usr" -printf '%y %s\n' | awk '{ kib += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print kib }'
}
(cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
sed -e "s|@VERSION@|$version|; s|@ARCHITECTURE@|$architecture|; s|@MAINTAINER@|$maintainer|" \
  -e "s|@SIZE@|$(installed_size)|" \
  packaging/debian/control >"$tree/DEBIAN/control"
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p build
dpkg-deb --root-owner-group -Zxz --build "$tree" "$package.part" >/dev/null
mv "$package.part" "$package"
echo "$package"
