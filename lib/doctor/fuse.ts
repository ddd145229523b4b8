/** Whether a mount can be made here: the device, what users other than root need, and what mount(8) needs for fstab. */
import { access, constants, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../errors.ts";
import { allowOtherLack, deviceLack, fusermountLack, loadFuseNative } from "../fs/mounting/host.ts";
import { type Check, fail, ok, warn } from "./check.ts";

export const device: Check = {
  name: "fuse",
  async run({ host }) {
    // First, since opening the device would load the module, and nothing should be changed.
    const known = await readFile(join(host.files, "proc/filesystems"), "utf8");
    if (!/\bfuse$/m.test(known)) {
      return [
        warn(
          "the kernel's FUSE module is not loaded",
          "modprobe fuse; most systems load it when somebody mounts",
        ),
      ];
    }
    const lack = await deviceLack(host);
    if (lack !== undefined) return [fail(lack.problem, lack.remedy)];
    try {
      await (await open(join(host.files, "dev/fuse"), "r+")).close();
    } catch (error) {
      return [
        fail(
          `/dev/fuse cannot be opened: ${messageOf(error)}`,
          "give the container that device, with the right to read and write it (docker run --device /dev/fuse)",
        ),
      ];
    }
    return [ok("/dev/fuse can be opened")];
  },
};

export const libfuse: Check = {
  name: "libfuse",
  async run({ host }) {
    if (host.isRoot) return [ok("not needed: what root mounts speaks the kernel's own protocol")];
    await loadFuseNative();
    return [ok("libfuse 2 and fuse-native can be loaded")];
  },
};

export const fusermount: Check = {
  name: "fusermount",
  async run({ host }) {
    if (host.isRoot) return [];
    const lack = await fusermountLack(host);
    if (lack !== undefined) return [fail(lack.problem, lack.remedy)];
    const alone = await allowOtherLack(host);
    if (alone !== undefined) return [warn(alone.problem, alone.remedy)];
    return [ok("fusermount is there, and others may be let in (user_allow_other)")];
  },
};

export const mountHelper: Check = {
  name: "mount helper",
  async run({ host, program }) {
    try {
      await access(join(host.files, "sbin/mount.icfs"), constants.X_OK);
    } catch {
      return [
        warn(
          "there is no /sbin/mount.icfs that can be run, which lines of type icfs in /etc/fstab need",
          `ln -sf ${program} /sbin/mount.icfs`,
        ),
      ];
    }
    return [ok("/sbin/mount.icfs is there")];
  },
};
