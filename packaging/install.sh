#!/bin/bash
# Installs the program for a host, or removes it again. Run by make, in a checkout whose packages are installed.
#
#   packaging/install.sh install     what `npm pack` packs, the packages it needs, its own Node, and links to it
#   packaging/install.sh uninstall   removes what install has made
#
# From the environment: DESTDIR (before every path, for packages), PREFIX (/usr/local), SBINDIR (/sbin, the only place where mount(8)
# looks for its helpers), and ZSHDIR (PREFIX/share/zsh/site-functions).
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
# Debian's npm uses interfaces that this Node has deprecated, and Node would warn of each.
export NODE_NO_WARNINGS=1

destdir=${DESTDIR-} prefix=${PREFIX:-/usr/local} sbindir=${SBINDIR:-/sbin}
zshdir=${ZSHDIR:-$prefix/share/zsh/site-functions}
program=$prefix/lib/icfs
helpers=(mount.icfs mount.fuse.icfs)

# Everything that is installed outside of $program, with its source.
declare -A files=(
  ["$prefix/share/man/man1/icfs.1"]=build/man/icfs.1
  ["$prefix/share/man/man8/mount.icfs.8"]=build/man/mount.icfs.8
  ["$prefix/share/man/man8/mount.fuse.icfs.8"]=build/man/mount.fuse.icfs.8
  ["$prefix/share/bash-completion/completions/icfs"]=build/completions/icfs.bash
  ["$zshdir/_icfs"]=build/completions/icfs.zsh
  ["$prefix/share/fish/vendor_completions.d/icfs.fish"]=build/completions/icfs.fish
  ["$prefix/libexec/icfs/dnsmasq-ledger"]=packaging/dnsmasq-ledger
  ["$prefix/lib/systemd/system/icfs@.service"]=packaging/systemd/icfs@.service
  ["$prefix/lib/systemd/system/icfs-serve@.service"]=packaging/systemd/icfs-serve@.service
)
# The documents, where they find one another: as they are in a checkout.
while read -r document; do
  files["$prefix/share/doc/icfs/$document"]=$document
done < <(find ./*.md docs examples bench/RESULTS.md -type f | sed 's|^\./||')

# The directories of the npm packages that the program needs, below node_modules: as they are installed here, for this machine.
modules() {
  npm ls --omit=dev --all --parseable | sed -n 's|^.*/node_modules/|node_modules/|p' | sort
}

# Removes what no program reads: sources, types, tests, and builds for other machines. Licences stay.
prune() {
  local here
  here=linux-$(node --print process.arch)
  find "$1" -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' \) -delete
  find "$1" -type f -name '.*' -delete
  rm -rf "$1"/node-linux-*/{include,share,README.md,CHANGELOG.md}
  # The addon uses the system's libfuse, not the one that comes with it.
  rm -rf "$1"/fuse-native/{test,binding.gyp,example.js} "$1"/fuse-native/*.[ch]
  find "$1" -path '*/fuse-native/prebuilds/*' -type f ! -path "*/$here/node.napi.node" -delete
  find "$1" -depth -type d -empty -delete
  rm -rf "$1"/fuse-shared-library-{darwin,linux-arm} "$1"/fuse-shared-library-linux/{libfuse,example}
  rm -rf "$1"/{nanoresource,bintrees}/test "$1"/bintrees/examples
  # Builds for browsers, and for developers of the package.
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
  # In one step: whoever starts the program meanwhile gets the old one or the new one.
  rm -rf "$to.old"
  [[ ! -e $to ]] || mv "$to" "$to.old"
  mv "$new" "$to"
  rm -rf "$to.old"
}

# The target of the link $2 to the file $1, valid wherever DESTDIR ends up. Outside of the prefix it is absolute, since /sbin may be a
# link itself.
link_target() {
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
  ln -sfn "$(link_target "$1" "$2")" "$destdir$2"
}

# Makes a unit start the program below the prefix. systemd would interpret a % in it.
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
    # Other programs run what is there.
    [[ $target != */libexec/* ]] || mode=755
    install -D -m "$mode" "${files[$target]}" "$destdir$target"
    # The units name the paths of a package.
    [[ $target != *.service ]] || move_unit "$destdir$target"
  done
}

# Removes the named files, and the directories above them that are empty then, except for those that every prefix has.
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
  # A package or another prefix may have replaced these with its own.
  for target in "${helpers[@]/#/$sbindir/}"; do
    [[ $(readlink "$destdir$target") != "$(link_target "$program/bin/icfs" "$target")" ]] || remove "$target"
  done
  for target in "$prefix/bin/icfs" "${!files[@]}" "$program"; do
    remove "$target"
  done
  # Code that Node has compiled for root.
  rm -rf "$destdir/var/cache/icfs-node"
}

# Fails if a directory, or the one in which it would be created, is not writable.
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
