/** Mounting when the network, or the host's clock, is late, as at boot. */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { startLocalNetwork } from "../../localnet/index.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { startMountable } from "../support/mountable.ts";
import { mountNamespace, writeFstab } from "./mount-namespace.ts";
import { eventually, HUNG, mountpointFor } from "./mounts.ts";

t.setTimeout(30 * HUNG);

/** Requests that fail, three for each attempt. With pauses of up to 4 s that takes some 20 s; mount(8) waits two minutes by default. */
const LATE = 24;

const state = await temporaryDirectory(t);
const c = await startMountable(t, { state });
const { id, directory, tree, proxy, rootKey } = c;
await c.publish({ "pxelinux.0": "loader\n", "pxelinux.cfg/default": "menu\n" });
const keyFile = join(directory, "root.key");
await writeFile(keyFile, rootKey);

t.test("mount -a with a cold cache waits for a network that arrives later", async (t) => {
  const within = await mountNamespace(t, directory);
  const path = await mountpointFor(t);
  const options = `ro,_netdev,nofail,x-systemd.automount,network=${proxy.url},root-key=${keyFile}`;
  const file = await writeFstab(directory, `${id} ${path} icfs ${options} 0 0`);
  proxy.down = true;
  const mounting = within("mount", "-a", "-T", file);
  await eventually("it has tried again and again", () => proxy.refused >= LATE);
  t.equal((await within("findmnt", path)).code, 1, "not yet");
  proxy.down = false;
  t.match(await mounting, {
    code: 0,
    stdout: "",
    stderr:
      /^mount\.icfs: no answer from the network \S+ yet \(.*\): goes on trying for .*; the log is \S+\n$/,
  });
  t.equal((await within("diff", "-r", tree, path)).code, 0);
  t.same(await within("umount", path), { code: 0, stdout: "", stderr: "" });
});

t.test("a mount waits while the clock is an hour wrong", async (t) => {
  const port = Number(new URL(c.url).port);
  await c.close();
  const log = join(directory, "clock.log");
  const cold = ["--cache-dir", join(directory, "cold"), "--log-file", log, "--retry", "2"];
  // The network's clock is wrong here instead of this machine's: only the difference counts.
  const wrong = await startLocalNetwork({ port, state, timeOffset: -3_600_000 });
  const mounting = c.tryMount(...cold);
  try {
    await eventually("it tries again", async () =>
      /has no answer that counts yet, trying again: .*this host's clock says/.test(
        await readFile(log, "utf8").catch(() => ""),
      ),
    );
  } finally {
    await wrong.close();
  }
  const right = await startLocalNetwork({ port, state });
  t.teardown(() => right.close());
  const { code, stderr, mountpoint } = await mounting;
  t.equal(code, 0, stderr);
  t.ok(await c.same(mountpoint));
});
