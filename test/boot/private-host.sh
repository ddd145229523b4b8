#!/bin/bash
# The first process of a host within this one, for libvirt (private-host.ts runs it in namespaces of its own): with its own
# network and processes, and with what is written to /etc, /srv, /run and libvirt's directories in memory. Says "ready", and
# stays; with it ends everything in it.
set -euo pipefail

mount -t proc proc /proc
# This machine's own mounts of ours would be kept from ending by a namespace that has them, too.
umount --all --types fuse.icfs --lazy || :
# The network devices in /sys are those of whoever mounts it.
mount -t sysfs sysfs /sys

mount -t tmpfs -o mode=755 tmpfs /run
layers=/run/private-host
for directory in /etc /srv /var/cache /var/lib /var/log; do
  layer=$layers$directory
  mkdir -p "$layer/upper" "$layer/work"
  mount -t overlay overlay -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
done

# Its own /dev, so that /dev/log is its own, and without /dev/kvm: QEMU must not even try.
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

# The users that Debian's libvirt-daemon-system makes, which would start a libvirtd on this machine.
for user in libvirt-qemu:64055 libvirt-dnsmasq:64056; do
  name=${user%:*} id=${user#*:}
  grep -q "^$name:" /etc/passwd || echo "$name:x:$id:$id::/nonexistent:/usr/sbin/nologin" >>/etc/passwd
  grep -q "^$name:" /etc/group || echo "$name:x:$id:" >>/etc/group
done

# Without cgroups, virtlogd and security drivers, none of which need be on a machine that runs tests.
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
# The first process of a namespace gets no signal that it has not asked for.
trap exit TERM
echo ready
# Not exec: bash also waits for those whose parents have ended. libvirt takes a machine that nobody waits for to be running.
sleep infinity &
wait
