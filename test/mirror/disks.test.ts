/** icfs mirror on a full disk, and on a read-only one. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { MirrorDirectory } from "../../lib/mirror/directory.ts";
import { mirrorRelease } from "../../lib/mirror/mirror.ts";
import { MirroredReader } from "../../lib/source/icfs/mirrored-reader.ts";
import { Mirrors } from "../../lib/source/icfs/mirrors.ts";
import { openReader, openTree, proveRelease } from "../../lib/source/icfs/open-release.ts";
import { sh } from "../mount/mounts.ts";
import { HUNG } from "../support/icfs.ts";
import { startMountable } from "../support/mountable.ts";

t.setTimeout(10 * HUNG);

const SILENT = { start() {}, add() {} };
const c = await startMountable(t);
process.env.XDG_STATE_HOME = join(c.directory, "state-of-this-process");
await c.publish({ small: "small\n" });
const address = { network: c.network, rootKey: c.rootKey, canister: c.canister };
const disk = join(c.directory, "disk");
const directory = join(disk, "mirror");

const mirrored = () =>
  MirrorDirectory.open(directory, (opened) => mirrorRelease(address, c.source(), opened, SILENT, false));

/** The number of files in the release that a host reads from the mirror alone. */
async function filesAlone(): Promise<number> {
  const mirrors = new Mirrors([`file://${directory}`], { only: true, maxStale: 0 });
  const reader = new MirroredReader(mirrors, openReader(address, HUNG), HUNG);
  // This process may have accepted a newer release from the network.
  return (await openTree(address, await proveRelease({ ...address, release: 1 }, reader), reader)).files;
}

async function mount(...options: string[]): Promise<void> {
  const { code, stderr } = await sh("mount", ...options, disk);
  if (code !== 0) throw new Error(stderr);
}

await mkdir(disk);
await mount("-t", "tmpfs", "-o", "size=1m", "tmpfs");
t.teardown(() => sh("umount", "--lazy", disk));

t.test("a full disk", async (t) => {
  t.match(await mirrored(), { newest: 1 });
  await c.publish({ large: randomBytes(3_000_000) });
  await t.rejects(mirrored(), {
    name: "UserError",
    message:
      /^cannot write the mirror .*: ENOSPC.*; once that is fixed, run it again: what has arrived stays$/,
  });
  t.notOk((await readdir(join(directory, ".icfs/chunk"))).some((name) => name.endsWith(".new")));
  await mount("-o", "remount,size=20m");
  t.match(await mirrored(), { newest: 2, damaged: 0 });
});

t.test("a read-only disk", async (t) => {
  await c.publish({ more: "more\n" });
  await mount("-o", "remount,ro");
  await t.rejects(mirrored(), { name: "UserError", message: /cannot write the mirror .*read-only|EROFS/i });
  t.equal(await filesAlone(), 1, "the mirror can still be read");
  await mount("-o", "remount,rw");
  t.match(await mirrored(), { newest: 3 });
});
