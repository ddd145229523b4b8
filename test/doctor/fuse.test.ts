/** /dev/fuse, libfuse, fusermount and the mount helper, on hosts with and without them. */
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { device, fusermount, libfuse, mountHelper } from "../../lib/doctor/fuse.ts";
import type { Tree } from "../support/directories.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";

const EMPTY = Buffer.alloc(0);
const LOADED = { "proc/filesystems": Buffer.from("nodev\tproc\n\tfuseblk\nnodev\tfuse\nnodev\tfusectl\n") };

t.test("the device /dev/fuse", async (t) => {
  t.same(await device.run(await hostWith(t, { ...LOADED, "dev/fuse": EMPTY })), [
    { level: "ok", message: "/dev/fuse can be opened" },
  ]);
  t.match(
    await device.run(await hostWith(t, LOADED)),
    exactly({ level: "fail", message: "there is no /dev/fuse", advice: /modprobe fuse/ }),
  );
  t.match(
    await device.run(await hostWith(t, { ...LOADED, "dev/fuse/x": EMPTY })),
    exactly({
      level: "fail",
      message: /^\/dev\/fuse cannot be opened: EISDIR/,
      advice: /--device \/dev\/fuse/,
    }),
  );
  const without = await hostWith(t, { "proc/filesystems": Buffer.from("\tfuseblk\n"), "dev/fuse": EMPTY });
  t.match(
    await device.run(without),
    exactly({ level: "warn", message: /module is not loaded/, advice: /modprobe fuse/ }),
  );
});

t.test("this host's own device passes, since the tests mount with it", async (t) => {
  t.match(await device.run(await hostWith(t, {}, { files: "/" })), exactly({ level: "ok" }));
});

t.test("libfuse is needed only by users other than root", async (t) => {
  t.match(await libfuse.run(await hostWith(t, {})), exactly({ level: "ok", message: /^not needed/ }));
  t.match(
    await libfuse.run(await hostWith(t, {}, { isRoot: false })),
    exactly({ level: "ok", message: /can be loaded/ }),
  );
});

t.test("fusermount and user_allow_other are checked only for users other than root", async (t) => {
  t.same(await fusermount.run(await hostWith(t, {})), []);
  t.match(
    await fusermount.run(await hostWith(t, {}, { isRoot: false })),
    exactly({ level: "fail", message: /need fusermount/, advice: "apt install fuse3" }),
  );
  const host = await hostWith(
    t,
    { "bin/fusermount": EMPTY, "etc/fuse.conf": Buffer.from("#user_allow_other\n") },
    { isRoot: false },
  );
  await chmod(join(host.directory, "bin/fusermount"), 0o755);
  t.match(
    await fusermount.run(host),
    exactly({ level: "warn", message: /need a line user_allow_other/, advice: /\/etc\/fuse.conf/ }),
  );
  const open = await hostWith(
    t,
    { "bin/fusermount": EMPTY, "etc/fuse.conf": Buffer.from("user_allow_other\n") },
    { isRoot: false },
  );
  await chmod(join(open.directory, "bin/fusermount"), 0o755);
  t.match(await fusermount.run(open), exactly({ level: "ok", message: /user_allow_other/ }));
});

t.test("a mount helper that is a dangling link, or cannot be run, counts as missing", async (t) => {
  const advice = "ln -sf /opt/icfs/bin/icfs /sbin/mount.icfs";
  const none: Tree[] = [{}, { "sbin/mount.icfs": EMPTY }, { "sbin/mount.icfs": "->/nowhere/bin/icfs" }];
  for (const files of none) {
    t.match(await mountHelper.run(await hostWith(t, files)), exactly({ level: "warn", advice }));
  }
  const host = await hostWith(t, { "sbin/mount.icfs": EMPTY });
  await chmod(join(host.directory, "sbin/mount.icfs"), 0o755);
  t.same(await mountHelper.run(host), [{ level: "ok", message: "/sbin/mount.icfs is there" }]);
});
