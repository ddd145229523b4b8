/** Changes in a directory since it was read: all kinds of entries, and changes that no time stamp shows. */
import { execFileSync } from "node:child_process";
import fsPromises, {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  rename,
  rm,
  symlink,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import t, { type Test } from "tap";
import { chunkTree } from "../../lib/publish/chunker.ts";
import { readLocalTree } from "../../lib/publish/local-tree.ts";
import { Problems } from "../../lib/publish/problems.ts";
import { EVERYTHING, scan } from "../../lib/publish/scan.ts";
import { Seen, stateOf } from "../../lib/publish/seen.ts";
import { stopClock } from "../support/clock.ts";
import { exactly } from "../support/exactly.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { bytesOf, writeTree } from "./trees.ts";

const MiB = 1024 * 1024;
const DIRECTORY_CHANGED = "something in it was added, renamed or removed, or its owner or mode changed";
const WRITTEN = "it was written to, or its owner, mode or links changed";
const silent = { start: () => {}, add: () => {}, stop: () => {} };

/** A tree with an entry of each kind, and something outside that is not to be published. */
async function trees(t: Test): Promise<{ tree: string; outside: string }> {
  const above = await temporaryDirectory(t);
  const tree = join(above, "tree");
  const outside = join(above, "outside");
  await mkdir(tree);
  await mkdir(outside);
  await writeTree(tree, { small: "small", "d/file": "inside.", "d/e/deep": "", large: bytesOf(1, 2 * MiB) });
  await symlink("small", join(tree, "link"));
  await writeTree(outside, { small: "SMALL", file: "outside", secret: "secret!" });
  return { tree, outside };
}

/** The ways in which a tree may change, and the messages about them. */
const CHANGES: Readonly<
  Record<string, readonly [work: (tree: string, outside: string) => Promise<void>, said: readonly string[]]>
> = {
  nothing: [async () => {}, []],
  "a file overwritten in place": [
    (tree) => writeFile(join(tree, "large"), bytesOf(2, 2 * MiB)),
    [`large: ${WRITTEN}`],
  ],
  "a file overwritten in place, with its time put back": [
    async (tree) => {
      const { atime, mtime } = await lstat(join(tree, "small"));
      await writeFile(join(tree, "small"), "other");
      await utimes(join(tree, "small"), atime, mtime);
    },
    [`small: ${WRITTEN}`],
  ],
  "a file that grew": [
    (tree) => writeFile(join(tree, "d/file"), "!", { flag: "a" }),
    ["d/file: it had 7 bytes and has 8"],
  ],
  "a file that was replaced by one like it": [
    async (tree) => {
      await writeFile(join(tree, "new"), "small");
      await rename(join(tree, "new"), join(tree, "small"));
    },
    [`the directory itself: ${DIRECTORY_CHANGED}`, "small: it was replaced"],
  ],
  "a file that is gone": [
    (tree) => unlink(join(tree, "d/e/deep")),
    [`d/e: ${DIRECTORY_CHANGED}`, "d/e/deep: it is gone"],
  ],
  "a file that became executable": [(tree) => chmod(join(tree, "small"), 0o755), [`small: ${WRITTEN}`]],
  "a file swapped for a symlink": [
    async (tree, outside) => {
      await rm(join(tree, "small"));
      await symlink(join(outside, "small"), join(tree, "small"));
    },
    [`the directory itself: ${DIRECTORY_CHANGED}`, "small: it was replaced by a symlink"],
  ],
  "a file swapped for a named pipe": [
    async (tree) => {
      await rm(join(tree, "d/file"));
      execFileSync("mkfifo", [join(tree, "d/file")]);
    },
    [`d: ${DIRECTORY_CHANGED}`, "d/file: it was replaced"],
  ],
  "a directory swapped for a symlink to another": [
    async (tree, outside) => {
      await rename(join(tree, "d"), join(outside, "d"));
      await symlink(outside, join(tree, "d"));
    },
    [
      `the directory itself: ${DIRECTORY_CHANGED}`,
      "d: it was replaced",
      "d/e: it is gone",
      "d/e/deep: it is gone",
      "d/file: it was replaced",
    ],
  ],
  "a directory swapped, and back": [
    async (tree, outside) => {
      await rename(join(tree, "d"), join(outside, "d"));
      await symlink(outside, join(tree, "d"));
      await unlink(join(tree, "d"));
      await rename(join(outside, "d"), join(tree, "d"));
    },
    // On some file systems only the directory's own time shows a rename.
    [`the directory itself: ${DIRECTORY_CHANGED}`],
  ],
  "a new entry": [(tree) => mkdir(join(tree, "d/e/new")), [`d/e: ${DIRECTORY_CHANGED}`]],
  "a symlink turned to something else": [
    async (tree) => {
      await symlink("large", join(tree, "new"));
      await rename(join(tree, "new"), join(tree, "link"));
    },
    [`the directory itself: ${DIRECTORY_CHANGED}`, "link: it was replaced"],
  ],
  "another name for a file": [
    (tree, outside) => link(join(tree, "small"), join(outside, "hard")),
    [`small: ${WRITTEN}`],
  ],
};

for (const [name, [work, said]] of Object.entries(CHANGES)) {
  t.test(name, async (t) => {
    const { tree, outside } = await trees(t);
    const { seen, entries } = await scan(tree, EVERYTHING, new Problems());
    await work(tree, outside);
    const changes = await seen.changes();
    t.same(
      changes.filter((change) => said.includes(change)),
      said.toSorted((a, b) => changes.indexOf(a) - changes.indexOf(b)),
      "it is named",
    );
    if (said.length === 0) t.same(changes, []);
    // chunkTree() reads nothing outside the tree, and nothing that waits for a writer.
    const problems = new Problems();
    const { chunks } = await chunkTree(entries, problems, () => {});
    const bytes = await Promise.all(chunks.map((chunk) => chunk.read().catch(() => Buffer.alloc(0))));
    for (const text of ["SMALL", "outside", "secret!"]) t.notOk(Buffer.concat(bytes).includes(text), text);
    if (said.length === 0) {
      await seen.throwIfChanged(tree, "and so on");
    } else {
      await t.rejects(seen.throwIfChanged(tree, "and so on"), {
        name: "UserError",
        message: `${tree} changed while it was being published, and so on: publish again when nobody writes to it\n  `,
      });
    }
  });
}

t.test("a directory that is swapped while it is listed is noticed", async (t) => {
  const { tree, outside } = await trees(t);
  const { readdir } = fsPromises;
  t.teardown(() => {
    fsPromises.readdir = readdir;
    syncBuiltinESMExports();
  });
  // `d` becomes a symlink just before it is listed.
  fsPromises.readdir = (async (path: string, options: { encoding: "buffer" }) => {
    if (path === join(tree, "d")) {
      await rename(path, join(outside, "d"));
      await symlink(outside, path);
    }
    return readdir(path, options);
  }) as unknown as typeof readdir;
  syncBuiltinESMExports();
  const { seen } = await scan(tree, EVERYTHING, new Problems());
  t.match(await seen.changes(), exactly(`the directory itself: ${DIRECTORY_CHANGED}`, "d: it was replaced"));
});

t.test("a file that changes while its directory is compared with a release is a problem", async (t) => {
  const { tree } = await trees(t);
  const large = join(tree, "large");
  const add = () =>
    execFileSync("dd", ["if=/dev/zero", `of=${large}`, "bs=1M", "count=2", "conv=notrunc", "status=none"]);
  const { problems, unreadable } = await readLocalTree(tree, EVERYTHING, "comparing", { ...silent, add });
  t.same(problems, [`large: ${WRITTEN}`]);
  t.ok(unreadable.has("large"), "the changing file counts as unreadable, not as different");
});

t.test("changes that the times may not show are found by waiting and looking again", async (t) => {
  const clock = stopClock(t);
  const { tree } = await trees(t);
  const long = BigInt(Date.now() - 3_600_000) * 1_000_000n;
  /** @param time of the last change, in nanoseconds @returns after how many milliseconds the answer is certain, and the changes */
  const settled = async (time: bigint, names: readonly string[]) => {
    const seen = new Seen();
    const state = { ...stateOf(await lstat(tree, { bigint: true })), ctimeNs: time };
    seen.addDirectory(
      "d",
      { source: tree, state },
      names.map((name) => Buffer.from(name)),
    );
    let changes: readonly string[] | undefined;
    seen.settle().then((found) => {
      changes = found;
    });
    let waited = 0;
    for (; changes === undefined && waited < 10_000; waited++) {
      await clock.pass(1);
      // Real reads take time of their own.
      await lstat(tree);
    }
    return { waited, changes };
  };
  const all = ["link", "small", "large", "d"];
  const now = BigInt(Date.now()) * 1_000_000n;
  const second = now - (now % 1_000_000_000n);
  t.ok((await settled(long + 1n, [])).waited < 20, "a change long ago needs no waiting");
  const fresh = await settled(now + 1n, all);
  t.ok(fresh.waited >= 20 && fresh.waited < 2500, `${fresh.waited} ms`);
  t.same(fresh.changes, [], "a directory that changed just now but has the same names is unchanged");
  const coarse = await settled(second, all);
  t.ok(coarse.waited >= 2500, `${coarse.waited} ms for whole seconds`);
  t.same(
    (await settled(now + 1n, all.slice(1))).changes,
    [`d: ${DIRECTORY_CHANGED}`],
    "a name added within the same tick is found",
  );
  t.same((await settled(now + 60_000_000_001n, all.with(0, "other"))).changes, [`d: ${DIRECTORY_CHANGED}`]);
});

t.test("a symlink with another target is noticed even if stat shows no difference", async (t) => {
  const { tree } = await trees(t);
  const source = join(tree, "link");
  const seen = new Seen();
  seen.addLink(
    "link",
    { source, state: stateOf(await lstat(source, { bigint: true })) },
    Buffer.from("large"),
  );
  t.same(await seen.changes(), ["link: it points to something else"]);
});

t.test("a file that grows as fast as it is read is not read on and on", async (t) => {
  const directory = await mkdtemp("/dev/shm/icfs-test-");
  t.teardown(() => rm(directory, { recursive: true }));
  await writeTree(directory, { log: bytesOf(1, MiB) });
  const { entries } = await scan(directory, EVERYTHING, new Problems());
  const problems = new Problems();
  let read = 0;
  await chunkTree(entries, problems, (bytes) => {
    read += bytes;
    execFileSync("truncate", ["-s", "+4M", join(directory, "log")]);
  });
  t.ok(read <= 2 * MiB, `${read} bytes`);
  t.match(problems.found, exactly(`log: it had ${MiB} bytes and has ${5 * MiB}`));
});
