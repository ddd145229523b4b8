/** A mount that has ended, and another one made at once in its place: the kernel reuses the mount's id. */
import t from "tap";
import { liveMount } from "../../lib/fs/live-mount.ts";
import { MOUNT_TYPE, mountAt, readMounts } from "../../lib/fs/mounting/mountinfo.ts";
import { createLog } from "../../lib/log.ts";
import { mountpointFor, sh } from "../mount/mounts.ts";

t.test("another mount that has the id of an ended mount is left alone", async (t) => {
  const path = await mountpointFor(t);
  t.match(await sh("mount", "-t", "tmpfs", "other", path), { code: 0 });
  const { id, parent } = mountAt(await readMounts(), path)!;
  const cutOff = Promise.withResolvers<void>();
  const mounted = liveMount(
    {
      ...{
        id,
        parent,
        mountpoint: path,
        type: MOUNT_TYPE,
        root: "/",
        device: "0:1048575",
        source: "canister",
      },
      ...{ options: [], superOptions: [] },
    },
    createLog("debug", () => {}),
    {
      openFiles: () => 0,
      failReads: () => {},
      disconnected: cutOff.promise,
      switchTo: async () => {},
    },
  );
  cutOff.resolve();
  t.equal(await mounted.ended, "unmounted from outside");
  t.equal(
    mountAt(await readMounts(), path)?.type,
    "tmpfs",
    "the other mount stays when the connection is cut off",
  );
  await mounted.unmount();
  t.equal(mountAt(await readMounts(), path)?.type, "tmpfs", "the other mount stays after unmount()");
});
