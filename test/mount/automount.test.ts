/**
 * mount(8) over automounts, as systemd makes them of `x-systemd.automount`. Not every kernel has autofs; Debian's has it, in the virtual
 * machine of test/boot/host.boot.ts.
 */
import { join } from "node:path";
import t, { type Test } from "tap";
import { BIN } from "../support/icfs.ts";
import { daemonEnds, startMountHost } from "./mount-namespace.ts";
import { eventually, HUNG } from "./mounts.ts";

t.setTimeout(10 * HUNG);

/** An automounter's messages to the kernel, by ioctl(2) on its directory (<linux/auto_fs.h>). */
const AUTOFS_IOC_READY = "0x9360";
const AUTOFS_IOC_CATATONIC = "0x9362";
/** A script that mounts an automount, as systemd does. The kernel's questions come through descriptor 4. */
const automountAt = (path: string) =>
  `mount -i -t autofs systemd-1 ${path} -o fd=4,pgrp=$$,minproto=5,maxproto=5,direct`;

const {
  id,
  directory,
  tree,
  proxy,
  keyFile,
  network: NETWORK,
  within,
  fstab,
  mountpoint,
} = await startMountHost(t);

const silent = { code: 0, stdout: "", stderr: "" };

/** What mount(8) says about an automount: nothing, or that the kernel has none. */
const { stderr: refusal } = await within(
  "setsid",
  "sh",
  "-c",
  `mkfifo ${directory}/probe && exec 4<>${directory}/probe && ${automountAt(await mountpoint("probed"))}`,
);
await within("umount", "--lazy", join(directory, "probed"));
/** Whether the kernel has no automounts, which is then all that a test can say. */
const hasNone = (t: Test) => {
  if (refusal === "") return false;
  t.match(refusal, /unknown filesystem type 'autofs'/, "this kernel has no automounts");
  return true;
};

t.test("mount(8) by hand on an automount, where anybody who opens the directory would wait", async (t) => {
  if (hasNone(t)) return;
  const path = await mountpoint("automounted");
  const file = await fstab(`${id} ${path} icfs ro,_netdev,nofail,x-systemd.automount,${NETWORK} 0 0`);
  const [pipe, over] = [join(directory, "automount"), join(directory, "over")];
  // Whoever opens a pipe for reading and writing does not wait for another process.
  const script = `mkfifo ${pipe} ${over} && exec 4<>${pipe} 5<>${over} && ${automountAt(path)} && read line <&5`;
  const automount = within("setsid", "sh", "-c", script);
  t.teardown(async () => {
    await within("umount", "--all-targets", "--recursive", "--lazy", path);
    await within("sh", "-c", `echo over 1<>${over}`);
    await automount;
  });
  const types = async () => (await within("findmnt", "-rn", "-o", "FSTYPE", path)).stdout.split("\n");
  await eventually("it is an automount", async () => (await types()).includes("autofs"));

  const asked = await within(BIN, "doctor", path, "--network", proxy.url, "--root-key", keyFile);
  t.match(asked.stdout, new RegExp(`^warn +mount: nothing is mounted at ${path} yet: an automount`, "m"));
  t.same(await types(), ["autofs", ""], "the doctor does not trigger the automount");
  t.same(await within("mount", "-T", file, path), silent);
  t.same(await types(), ["autofs", "fuse.icfs", ""]);
  t.equal((await within("diff", "-r", tree, path)).code, 0);
  t.match(await within("mount", "-t", "icfs", id, path, "-o", NETWORK), {
    code: 32,
    stderr: /already mounted at/,
  });
  t.same(await within("umount", path), silent);
  await daemonEnds(path);
  t.same(await types(), ["autofs", ""]);
});

t.test("an automounter mounts while a reader waits", async (t) => {
  if (hasNone(t)) return;
  const path = await mountpoint("awaited");
  const file = await fstab(`${id} ${path} icfs ro,_netdev,nofail,x-systemd.automount,${NETWORK} 0 0`);
  const pipe = join(directory, "awaiting");
  // Like systemd's automounter: mount(8) is in its process group, and only that group may pass. A packet in the pipe says that a process
  // waits (autofs(5); in <linux/auto_fs.h> the token is behind two words). That process waits until the automounter says READY or
  // CATATONIC; without the trap it might wait for ever.
  const script = `say() { python3 -c 'import fcntl, sys; fcntl.ioctl(5, int(sys.argv[1], 16), int(sys.argv[2]))' "$@"; }
    mkfifo ${pipe} && exec 4<>${pipe} &&
    ${automountAt(path)} && exec 5<${path} || exit
    trap 'say ${AUTOFS_IOC_CATATONIC} 0' EXIT
    setsid cat ${path}/pxelinux.0 4>&- 5>&- &
    token=$(head -c 12 <&4 | od -An -tu4 -j8)
    mount -T ${file} ${path} && diff -r ${tree} ${path} && findmnt -rn -o FSTYPE ${path} &&
    say ${AUTOFS_IOC_READY} $token && wait $! && umount ${path}`;
  t.teardown(() => within("umount", "--all-targets", "--recursive", "--lazy", path));
  t.same(await within("setsid", "sh", "-c", script), { ...silent, stdout: "autofs\nfuse.icfs\nloader\n" });
  await daemonEnds(path);
});
