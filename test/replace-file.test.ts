/** Files that are there whole or not at all: the order of the operations on disk, names, and leftovers. */
import fs from "node:fs";
import { mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, join } from "node:path";
import t, { type Test } from "tap";
import { Ed25519Identity } from "../lib/ic/identity/ed25519.ts";
import { defaultIdentity, defaultIdentityFile } from "../lib/ic/identity/identity.ts";
import { resolveNetwork } from "../lib/ic/network.ts";
import { withLock } from "../lib/lock.ts";
import { removeAbandoned, replaceFile, syncDirectory, unfinishedNameOf } from "../lib/replace-file.ts";
import { trustingReader } from "../lib/source/icfs/accepted-releases.ts";
import { readerOf } from "./source/icfs/chain-reader.ts";
import { canisterId } from "./support/certificates.ts";
import { encodeChain } from "./support/headers.ts";
import { temporaryDirectory } from "./support/icfs.ts";

/** The syncs, renames and links of files during the work: their order decides what a power cut can leave. */
async function recording(t: Test, work: () => Promise<unknown>): Promise<string[]> {
  const done: string[] = [];
  await using file = await fs.promises.open("/dev/null");
  const handle = Object.getPrototypeOf(file) as Record<string, (...args: unknown[]) => unknown>;
  const nameOf = (descriptor: number) => {
    const path = fs.readlinkSync(`/proc/self/fd/${descriptor}`);
    return fs.statSync(path).isDirectory()
      ? "directory"
      : /\.new$/.test(path)
        ? "unfinished"
        : basename(path);
  };
  const { rename } = fs.promises;
  const { linkSync, fsyncSync } = fs;
  const { datasync, sync } = handle as unknown as typeof file;
  Object.assign(handle, {
    datasync(this: typeof file) {
      done.push(`sync ${nameOf(this.fd)}`);
      return datasync.call(this);
    },
    sync(this: typeof file) {
      done.push(`sync ${nameOf(this.fd)}`);
      return sync.call(this);
    },
  });
  Object.assign(fs.promises, {
    rename(from: string, to: string) {
      done.push("rename");
      return rename(from, to);
    },
  });
  Object.assign(fs, {
    fsyncSync(descriptor: number) {
      done.push(`sync ${nameOf(descriptor)}`);
      fsyncSync(descriptor);
    },
    linkSync(from: string, to: string) {
      done.push("link");
      linkSync(from, to);
    },
  });
  syncBuiltinESMExports();
  const restore = () => {
    Object.assign(handle, { datasync, sync });
    Object.assign(fs.promises, { rename });
    Object.assign(fs, { fsyncSync, linkSync });
    syncBuiltinESMExports();
  };
  t.teardown(restore);
  await work();
  restore();
  return done;
}

t.test(
  "a file is synced before it gets its name, and its directory before anybody relies on the name",
  async (t) => {
    const directory = await temporaryDirectory(t);
    const path = join(directory, "file");
    const order = ["sync unfinished", "rename", "sync directory"];
    const replaced = await recording(t, async () => {
      await replaceFile(path, "content");
      await syncDirectory(directory);
    });
    t.strictSame(replaced, order);

    process.env.XDG_STATE_HOME = join(directory, "state");
    const trust = () =>
      trustingReader(readerOf(encodeChain(2)), {
        canister: canisterId(1),
        rootKey: Buffer.alloc(133, 7),
        network: resolveNetwork("local"),
      }).head();
    const done = await recording(t, trust);
    t.strictSame(done.slice(-3), order, "the accepted release is saved in the same order");
    t.ok(done.length > 5, "new directories are synced as well");

    process.env.XDG_CONFIG_HOME = join(directory, "config");
    const { error } = console;
    t.teardown(() => {
      console.error = error;
    });
    console.error = () => {};
    const made = await recording(t, async () => t.ok((await defaultIdentity()) instanceof Ed25519Identity));
    t.strictSame(made, ["sync unfinished", "link", "sync directory"], "an identity");
    t.strictSame(await readdir(join(directory, "config/icfs")), [basename(defaultIdentityFile())]);
  },
);

t.test("a failed replacement leaves nothing behind, and removes nothing of others", async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, "file");
  await mkdir(path);
  await writeFile(`${path}.1.new`, "another's");
  await t.rejects(replaceFile(path, "content"), { code: "EISDIR" });
  t.strictSame((await readdir(directory)).sort(), ["file", "file.1.new"]);
  await t.rejects(replaceFile(join(directory, "absent/file"), ""), { code: "ENOENT" });
  const names = new Set(Array.from({ length: 100 }, () => unfinishedNameOf(path)));
  t.equal(names.size, 100, "every unfinished file has a different name");
});

t.test("of many replacements at once, one remains, and it is whole", async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, "file");
  const contents = Array.from({ length: 20 }, (_, i) => String(i).repeat(100_000));
  await Promise.all(contents.map((content) => replaceFile(path, content)));
  t.ok(contents.includes(await readFile(path, "utf8")));
  t.strictSame(await readdir(directory), ["file"]);
  t.equal((await stat(path)).mode & 0o777, 0o600);
});

t.test("leftovers of a killed process are recognised only by their age", async (t) => {
  const directory = await temporaryDirectory(t);
  for (const name of ["old.new", "young.new", "old"]) await writeFile(join(directory, name), "");
  const yesterday = Date.now() / 1000 - 25 * 3600;
  for (const name of ["old.new", "old"]) await utimes(join(directory, name), yesterday, yesterday);
  await removeAbandoned(directory);
  t.strictSame((await readdir(directory)).sort(), ["old", "young.new"]);
  await removeAbandoned(join(directory, "absent"));
  await removeAbandoned(join(directory, "name too long ".repeat(100)));
});

t.test("a lock also excludes others within the same process", async (t) => {
  const file = join(await temporaryDirectory(t), "lock");
  let inside = 0;
  const most = await Promise.all(
    Array.from({ length: 10 }, () =>
      withLock(file, async () => {
        inside += 1;
        await new Promise(setImmediate);
        const now = inside;
        inside -= 1;
        return now;
      }),
    ),
  );
  t.strictSame(new Set(most), new Set([1]));
  await t.rejects(
    withLock(file, async () => Promise.reject(new Error("of the work"))),
    /of the work/,
  );
  t.equal(await withLock(file, async () => "free again"), "free again");
});
