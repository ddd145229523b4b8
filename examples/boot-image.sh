#!/bin/sh
# Makes one UEFI program from a kernel, an initrd and a command line: a unified kernel image, which firmware can boot from a URL.
#
#   boot-image.sh KERNEL INITRD "COMMAND LINE" IMAGE
#
# Debian packages: systemd-boot-efi (the stub that starts the kernel), binutils. STUB names another stub.
set -eu
kernel=$1 initrd=$2 command_line=$3 image=$4
stub=${STUB:-/usr/lib/systemd/boot/efi/linuxx64.efi.stub}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
printf '%s\0' "$command_line" >"$directory/cmdline"

# Each section begins on a new page: the first after the stub's last section, the others after the previous one.
end=$(objdump --section-headers "$stub" | awk '$1 ~ /^[0-9]+$/ { size = $3; at = $4 } END { print size, at }')
at=$((0x${end% *} + 0x${end#* }))
set --
for section in "cmdline $directory/cmdline" "initrd $initrd" "linux $kernel"; do
  name=${section%% *} file=${section#* }
  at=$(((at + 4095) / 4096 * 4096))
  set -- "$@" --add-section ".$name=$file" --change-section-vma ".$name=$(printf '0x%x' "$at")"
  at=$((at + $(wc -c <"$file")))
done
objcopy "$@" "$stub" "$image"
