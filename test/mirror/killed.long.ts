/** icfs mirror is killed wherever a file gets its name: each time the mirror is right, and the next run continues. */
import { cp, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { MirrorDirectory } from "../../lib/mirror/directory.ts";
import { mirrorRelease } from "../../lib/mirror/mirror.ts";
import { MirroredReader } from "../../lib/source/icfs/mirrored-reader.ts";
import { Mirrors } from "../../lib/source/icfs/mirrors.ts";
import { openReader, openTree, proveRelease } from "../../lib/source/icfs/open-release.ts";
import { HUNG } from "../support/icfs.ts";
import { startMountable } from "../support/mountable.ts";

t.setTimeout(30 * HUNG);

const c = await startMountable(t);
process.env.XDG_STATE_HOME = join(c.directory, "state-of-this-process");
const directory = join(c.directory, "mirror");
/** The chunks of both releases: two manifests, and four files. */
const WHOLE = 6;
const address = { network: c.network, rootKey: c.rootKey, canister: c.canister };

/** Reads all that the mirror alone has, as a host that has accepted nothing yet. @returns its newest release */
async function readAlone(attempt: number): Promise<number> {
  process.env.XDG_STATE_HOME = join(c.directory, `state-${attempt}`);
  const mirrors = new Mirrors([`file://${directory}`], { only: true, maxStale: HUNG });
  const reader = new MirroredReader(mirrors, openReader(address, HUNG), HUNG);
  const proven = await proveRelease(address, reader);
  const tree = await openTree(address, proven, reader);
  for (const { sha256, size } of tree.chunks) await reader.chunk({ sha256: sha256!, size });
  // Down to the first release: no page of headers is missing.
  await proveRelease({ ...address, release: 1 }, reader);
  return proven.header.number;
}

t.test("a run killed at any rename leaves a valid mirror, and the next run continues", async (t) => {
  await c.publish({ a: "a\n" });
  t.match(await c.icfs(["mirror", c.id, directory]), { code: 0 });
  await c.publish({ b: "b\n".repeat(100_000), d: "d\n".repeat(200_000), e: "e\n".repeat(300_000) });
  const before = join(c.directory, "before");
  await cp(directory, before, { recursive: true });
  const [state, stateBefore] = [c.env.XDG_STATE_HOME!, join(c.directory, "state-before")];
  await cp(state, stateBefore, { recursive: true });
  const killer = join(c.directory, "killer.mjs");
  await writeFile(
    killer,
    `import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
const { rename } = fs;
let count = 0;
fs.rename = (from, to) => {
  count += 1;
  if (count === Number(process.env.KILLED_AT)) process.kill(process.pid, "SIGKILL");
  return rename(from, to);
};
syncBuiltinESMExports();
`,
  );
  let killed = 0;
  for (let at = 1; at < 30; at++) {
    for (const [from, to] of [
      [before, directory],
      [stateBefore, state],
    ] as const) {
      await rm(to, { recursive: true });
      await cp(from, to, { recursive: true });
    }
    const { code } = await c.icfs(["mirror", c.id, directory, "--prune"], {
      env: { ...c.env, NODE_OPTIONS: `--import=${killer}`, KILLED_AT: `${at}` },
    });
    const newest = await readAlone(at);
    if (code === 0) {
      t.equal(newest, 2);
      break;
    }
    killed += 1;
    const chunks = await readdir(join(directory, ".icfs/chunk"));
    const arrived = chunks.filter((name) => !name.endsWith(".new")).length;
    process.env.XDG_STATE_HOME = join(c.directory, "state-of-this-process");
    const next = await MirrorDirectory.open(directory, (opened) =>
      mirrorRelease(address, c.source(), opened, { start() {}, add() {} }, true),
    );
    t.equal(
      next.fetchedChunks,
      WHOLE - arrived,
      `killed at rename ${at}, with release ${newest}: ${arrived} chunks are not fetched again`,
    );
    t.equal(await readAlone(at), 2);
  }
  t.equal(killed, 7, "seven renames: accepted release, manifest, three chunks, headers and the release");
});
