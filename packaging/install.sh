#!/bin/bash
# Installs the program for a host, or takes it away again. Run by make, in a checkout whose packages are installed.
#
#   packaging/install.sh install     what `npm pack` packs, the packages it needs, its own Node, and links to it
#   packaging/install.sh uninstall   takes away what install has made
#
# From the environment: DESTDIR (before every path, for packages), PREFIX (/usr/local), SBINDIR (/sbin), where mount(8) looks
# for its helpers, and nowhere else, and ZSHDIR (PREFIX/share/zsh/site-functions).
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

destdir=${DESTDIR-} prefix=${PREFIX:-/usr/local} sbindir=${SBINDIR:-/sbin}
zshdir=${ZSHDIR:-$prefix/share/zsh/site-functions}
program=$prefix/lib/icfs
helpers=(mount.icfs mount.fuse.icfs)

# All that is installed outside of $program, and what it is made from.
declare -A files=(
  ["$prefix/share/man/man1/icfs.1"]=build/man/icfs.1
  ["$prefix/share/man/man8/mount.icfs.8"]=build/man/mount.icfs.8
  ["$prefix/share/man/man8/mount.fuse.icfs.8"]=build/man/mount.fuse.icfs.8
  ["$prefix/share/bash-completion/completions/icfs"]=build/completions/icfs.bash
  ["$zshdir/_icfs"]=build/completions/icfs.zsh
  ["$prefix/share/fish/vendor_completions.d/icfs.fish"]=build/completions/icfs.fish
  ["$prefix/share/doc/icfs/README.md"]=README.md
  ["$prefix/share/doc/icfs/OPERATIONS.md"]=docs/OPERATIONS.md
  ["$prefix/share/doc/icfs/ROLLOUTS.md"]=docs/ROLLOUTS.md
  ["$prefix/share/doc/icfs/SITES.md"]=docs/SITES.md
  ["$prefix/share/doc/icfs/COSTS.md"]=docs/COSTS.md
  ["$prefix/share/doc/icfs/TROUBLESHOOTING.md"]=docs/TROUBLESHOOTING.md
  ["$prefix/share/doc/icfs/HTTP.md"]=docs/HTTP.md
  ["$prefix/share/doc/icfs/page.png"]=docs/page.png
  ["$prefix/share/doc/icfs/site.svg"]=docs/site.svg
  ["$prefix/share/doc/icfs/examples/boot.ipxe"]=examples/boot.ipxe
  ["$prefix/share/doc/icfs/examples/boot-image.sh"]=examples/boot-image.sh
  ["$prefix/share/doc/icfs/examples/dnsmasq.conf"]=examples/dnsmasq.conf
  ["$prefix/share/doc/icfs/examples/nginx.conf"]=examples/nginx.conf
  ["$prefix/share/doc/icfs/examples/prometheus.yml"]=examples/prometheus.yml
  ["$prefix/share/doc/icfs/examples/squid.conf"]=examples/squid.conf
  ["$prefix/share/doc/icfs/examples/prometheus-alerts.yml"]=examples/prometheus-alerts.yml
  ["$prefix/share/doc/icfs/examples/dnsmasq-channels.conf"]=examples/dnsmasq-channels.conf
  ["$prefix/share/doc/icfs/examples/grafana-dashboard.json"]=examples/grafana-dashboard.json
  ["$prefix/libexec/icfs/dnsmasq-ledger"]=packaging/dnsmasq-ledger
  ["$prefix/lib/systemd/system/icfs@.service"]=packaging/systemd/icfs@.service
  ["$prefix/lib/systemd/system/icfs-serve@.service"]=packaging/systemd/icfs-serve@.service
)

# The directories of the npm packages that the program needs, below node_modules: as they are installed here, for this machine.
modules() {
  npm ls --omit=dev --all --parseable | sed -n 's|^.*/node_modules/|node_modules/|p' | sort
}

# Takes away what no program reads: sources, types, tests, and what was built for other machines. Licences stay.
prune() {
  local here
  here=linux-$(node --print process.arch)
  find "$1" -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' \) -delete
  find "$1" -type f -name '.*' -delete
  rm -rf "$1"/node-linux-*/{include,share,README.md,CHANGELOG.md}
  # The addon takes the system's libfuse; what lies beside it is another.
  rm -rf "$1"/fuse-native/{test,binding.gyp,example.js} "$1"/fuse-native/*.[ch]
  find "$1" -path '*/fuse-native/prebuilds/*' -type f ! -path "*/$here/node.napi.node" -delete
  find "$1" -depth -type d -empty -delete
  rm -rf "$1"/fuse-shared-library-{darwin,linux-arm} "$1"/fuse-shared-library-linux/{libfuse,example}
  rm -rf "$1"/{nanoresource,bintrees}/test "$1"/bintrees/examples
  # The same for browsers, and for whoever develops it.
  rm -rf "$1"/@dfinity/response-verification/dist/{debug,web}
}

install_program() {
  local to=$destdir$program new directory
  new=$to.new
  rm -rf "$new"
  mkdir -p "$new"
  npm pack --ignore-scripts --silent --pack-destination "$new" >/dev/null
  tar --extract --gzip --no-same-owner --strip-components=1 --directory "$new" --file "$new"/icfs-*.tgz
  rm "$new"/icfs-*.tgz
  while read -r directory; do
    mkdir -p "$new/$(dirname "$directory")"
    cp -R --no-dereference "$directory" "$new/$directory"
  done < <(modules)
  prune "$new/node_modules"
  chmod -R u=rwX,go=rX "$new"
  find "$new" -type f ! -path '*/bin/node' ! -path "$new/bin/icfs" -exec chmod 644 {} +
  # At once: who starts the program meanwhile finds the old one or the new one.
  rm -rf "$to.old"
  [[ ! -e $to ]] || mv "$to" "$to.old"
  mv "$new" "$to"
  rm -rf "$to.old"
}

# Where the link $2 to the file $1 leads: it holds wherever DESTDIR ends up. Outside of the prefix it is absolute: /sbin may be a link
# itself.
leads_to() {
  local from
  from=$(dirname "$2")
  if [[ $from == "$prefix"/* ]]; then
    realpath --no-symlinks --canonicalize-missing --relative-to="$from" "$1"
  else
    printf '%s\n' "$1"
  fi
}

link() {
  mkdir -p "$destdir$(dirname "$2")"
  ln -sfn "$(leads_to "$1" "$2")" "$destdir$2"
}

# Has a unit start what is below the prefix, whatever the prefix has in it: systemd takes % for its own.
move_unit() {
  local to
  to=$(printf '%s' "$prefix" | sed 's/%/%%/g; s/[\\&#]/\\&/g')
  sed -i -E "s#/usr/(bin|share)/#$to/\\1/#g" "$1"
}

install_all() {
  local target helper mode
  install_program
  link "$program/bin/icfs" "$prefix/bin/icfs"
  for helper in "${helpers[@]}"; do
    link "$program/bin/icfs" "$sbindir/$helper"
  done
  for target in "${!files[@]}"; do
    mode=644
    # Others start it.
    [[ $target != */libexec/* ]] || mode=755
    install -D -m "$mode" "${files[$target]}" "$destdir$target"
    # Those are written for a package.
    [[ $target != *.service ]] || move_unit "$destdir$target"
  done
}

# Removes what is named, and the directories above it that are empty then, but for those that every prefix has.
remove() {
  local directory
  rm -rf "$destdir$1"
  directory=$(dirname "$1")
  while [[ $directory == "$prefix"/*/* ]] && rmdir "$destdir$directory" 2>/dev/null; do
    directory=$(dirname "$directory")
  done
}

uninstall_all() {
  local target
  # A package or another prefix may have put its own in the place of these.
  for target in "${helpers[@]/#/$sbindir/}"; do
    [[ $(readlink "$destdir$target") != "$(leads_to "$program/bin/icfs" "$target")" ]] || remove "$target"
  done
  for target in "$prefix/bin/icfs" "${!files[@]}" "$program"; do
    remove "$target"
  done
  # What Node has compiled for root.
  rm -rf "$destdir/var/cache/icfs-node"
}

# Ends when a directory, or the one in which it would be made, is not writable.
check_writable() {
  local directory=$1
  until [[ -e $directory ]]; do directory=$(dirname "$directory"); done
  [[ -w $directory ]] && return
  echo "make $action: $1 is not writable: run it as root, or give another PREFIX and SBINDIR" >&2
  exit 1
}

action=${1-}
case "$action" in
  install | uninstall)
    check_writable "$destdir$prefix"
    check_writable "$destdir$sbindir"
    "${action}_all"
    ;;
  *)
    echo "usage: packaging/install.sh install|uninstall" >&2
    exit 2
    ;;
esac
