#!/bin/bash
# Installs what icfs needs and is not there yet, and says what it does. Run by make.
#
#   scripts/setup.sh modules   npm packages (Node 24 is one of them), and libfuse2, which one of them links to
#   scripts/setup.sh all       these, and the Debian packages that tests and demo need
#
# Debian packages need root. What is there is skipped, so it costs nothing to call this before everything.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"

all_packages=(
  libfuse2 fuse3 mount util-linux             # mounting
  iproute2 dnsmasq-base curl procps           # a boot server and its clients
  qemu-system-x86 ipxe-qemu                   # a machine to boot
  libdbus-1-3                                 # icp, another client of the canister
  jq                                          # named in docs/OPERATIONS.md
  rclone httpdirfs bindfs                     # what icfs is measured beside
  debian-installer-12-netboot-amd64           # what it boots
  debootstrap e2fsprogs                       # a clean Debian to install the package in, and a disk of it to boot
  systemd                                     # its verifier and its generator
  man-db mandoc bash-completion zsh fish      # readers of the manual, and the shells that complete
  libvirt-daemon libvirt-clients iptables     # libvirtd (without what would start it here), and what its networks need
  ovmf                                        # a machine with UEFI
  python3                                     # readers, loggers, listeners and automounters, for what Node has no calls
  libwrap0                                    # tftpd-hpa, another boot server, which is only unpacked
)
# Installed, this one would serve on port 69 of this machine at once.
unpacked_package=tftpd-hpa

fail() {
  echo "setup: $*" >&2
  exit 1
}

# Runs a command silently; shows what it printed when it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  if ((status != 0)); then
    cat "$log" >&2
  fi
  rm -f "$log"
  return "$status"
}

# Installs those of the named Debian packages that are missing.
install_packages() {
  local installed missing=() package command
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    grep -qx "$package installed" <<<"$installed" || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    return 0
  fi
  command="apt-get install --yes --no-install-recommends ${missing[*]}"
  command -v apt-get >/dev/null ||
    fail "this is not Debian; install what its packages ${missing[*]} contain by hand"
  ((EUID == 0)) || fail "Debian packages are missing; as root, run: $command"
  echo "setup: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update || fail "apt-get update failed"
  quietly $command || fail "failed: $command"
}

# Unpacks a package below build/, and runs nothing of it.
unpack_package() {
  local to=build/$1
  if [[ -e $to ]]; then
    return 0
  fi
  echo "setup: unpacking $1"
  quietly apt-get update || fail "apt-get update failed"
  rm -rf "$to.part"
  mkdir -p "$to.part"
  (cd "$to.part" && quietly apt-get download "$1" && dpkg-deb --extract ./*.deb . && rm ./*.deb) ||
    fail "$1 could not be downloaded and unpacked"
  mv "$to.part" "$to"
}

# Installs the npm packages when there are none or the lock file has changed since; npm itself writes the stamp.
install_modules() {
  local stamp=node_modules/.package-lock.json
  if [[ -e $stamp && ! package-lock.json -nt $stamp ]]; then
    return 0
  fi
  # With libfuse2 there, fuse-native takes its prebuilt addon, and no compiler is needed.
  local packages=(libfuse2)
  command -v npm >/dev/null || packages+=(npm)
  install_packages "${packages[@]}"
  echo "setup: npm ci"
  quietly npm ci --no-audit --no-fund || fail "npm ci failed"
  echo "setup: tap build"
  quietly tap build || fail "tap build failed"
}

case "${1-}" in
  modules) install_modules ;;
  all)
    install_packages "${all_packages[@]}"
    unpack_package "$unpacked_package"
    install_modules
    echo "setup: every package is there"
    ;;
  *) fail "usage: scripts/setup.sh modules|all" ;;
esac
