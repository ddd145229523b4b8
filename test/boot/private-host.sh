#!/bin/bash
# The first process of a private host for libvirt. private-host.ts runs it in new namespaces. The host has its own network and
# processes, and keeps in memory what is written to /etc, /srv, /run and libvirt's directories. This script prints "ready" and
# stays; when it ends, everything in the host ends.
set -euo pipefail

mount -t proc proc /proc
# An icfs mount of this machine could not end while this namespace also has it.
umount --all --types fuse.icfs --lazy || :
# /sys shows the network devices of the namespace that mounted it.
mount -t sysfs sysfs /sys

mount -t tmpfs -o mode=755 tmpfs /run
layers=/run/private-host
for directory in /etc /srv /var/cache /var/lib /var/log; do
  layer=$layers$directory
  mkdir -p "$layer/upper" "$layer/work"
  mount -t overlay overlay -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
done

# The host has its own /dev, for its own /dev/log, and without /dev/kvm, so that QEMU does not try it.
dev=$layers/dev
mkdir -p "$dev/net" "$dev/pts" "$dev/shm"
for device in null zero full random urandom tty fuse net/tun; do
  touch "$dev/$device"
  mount --bind "/dev/$device" "$dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$dev/pts"
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
mount --rbind "$dev" /dev

# The users that Debian's libvirt-daemon-system makes. The package itself is not installed: it would start a libvirtd on this machine.
for user in libvirt-qemu:64055 libvirt-dnsmasq:64056; do
  name=${user%:*} id=${user#*:}
  grep -q "^$name:" /etc/passwd || echo "$name:x:$id:$id::/nonexistent:/usr/sbin/nologin" >>/etc/passwd
  grep -q "^$name:" /etc/group || echo "$name:x:$id:" >>/etc/group
done

# A machine that runs tests need not have cgroups, virtlogd or security drivers.
mkdir -p /etc/libvirt /srv/tftp
cat >/etc/libvirt/qemu.conf <<'CONFIGURATION'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
CONFIGURATION

ip link set lo up
# The first process of a PID namespace gets only signals for which it has a handler.
trap exit TERM
echo ready
# bash stays, without exec, to reap orphans: libvirt takes a machine's unreaped process for a running one.
sleep infinity &
wait
