/** A mirror whose files are damaged, missing, links, or half copied, and its readers meanwhile. */
import { randomBytes } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { MirrorDirectory } from "../../lib/mirror/directory.ts";
import { mirrorRelease } from "../../lib/mirror/mirror.ts";
import { MirroredReader } from "../../lib/source/icfs/mirrored-reader.ts";
import { Mirrors } from "../../lib/source/icfs/mirrors.ts";
import { openReader, openTree, proveRelease } from "../../lib/source/icfs/open-release.ts";
import { hexOf } from "../../lib/tree/hash.ts";
import { exactly } from "../support/exactly.ts";
import { HUNG } from "../support/icfs.ts";
import { sha256 } from "../support/icfs-canister.ts";
import { startMountable } from "../support/mountable.ts";

t.setTimeout(10 * HUNG);

const SILENT = { start() {}, add() {} };
const c = await startMountable(t);
process.env.XDG_STATE_HOME = join(c.directory, "state-of-this-process");
const files = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`f${i}`, randomBytes(300_000 + i)]));
await c.publish(files);
const directory = join(c.directory, "mirror");
const chunks = join(directory, ".icfs/chunk");
const address = { network: c.network, rootKey: c.rootKey, canister: c.canister };

const mirrored = (more: { check?: boolean; prune?: boolean } = {}, at = directory) =>
  MirrorDirectory.open(
    at,
    (opened) => mirrorRelease(address, c.source(), opened, SILENT, more.prune === true),
    more.check,
  );

/** The chunks whose contents do not match their names. */
async function wrongChunks(): Promise<string[]> {
  const wrong: string[] = [];
  for (const name of await readdir(chunks)) {
    const bytes = await readFile(join(chunks, name)).catch(() => Buffer.of());
    if (hexOf(sha256(bytes)) !== name) wrong.push(name);
  }
  return wrong.sort();
}

/** The chunks of the newest release. The mirror must have no other release. */
async function chunksOfRelease(): Promise<{ readonly manifest: string[]; readonly files: string[] }> {
  const { header } = await proveRelease(address, c.source());
  const manifest = header.manifest.chunks.map(hexOf);
  const files = (await readdir(chunks)).filter((name) => !manifest.includes(name)).sort();
  return { manifest, files };
}

await mirrored();
const { manifest, files: names } = await chunksOfRelease();

/** Damages one chunk in each way. Only --check finds the last ones. */
async function damage() {
  const [short, long, missing, link, unrelated, flipped, zeros] = names.map((name) => join(chunks, name));
  await truncate(short!, 1000);
  await writeFile(long!, "more", { flag: "a" });
  await rm(missing!);
  await cp(link!, `${directory}-elsewhere`);
  await rm(link!);
  await symlink(`${directory}-elsewhere`, link!);
  await rm(unrelated!);
  await symlink("/dev/zero", unrelated!);
  const bytes = await readFile(flipped!);
  bytes[100]! ^= 1;
  await writeFile(flipped!, bytes);
  await writeFile(zeros!, Buffer.alloc((await readFile(zeros!)).length));
  return [flipped!, zeros!].map((path) => path.slice(chunks.length + 1)).sort();
}

t.test("without --check, damaged chunks are found by their sizes", async (t) => {
  const hidden = await damage();
  t.match(
    await mirrored(),
    { damaged: 4, fetchedChunks: 5 },
    "a symbolic link counts as damaged, even if its target is right",
  );
  t.same(await wrongChunks(), hidden);
  const mirrors = new Mirrors([`file://${directory}`], { only: false, maxStale: 0 });
  const reader = new MirroredReader(mirrors, openReader(address, HUNG), HUNG);
  for (const name of hidden) {
    const tree = await openTree(address, await proveRelease(address, reader), reader);
    const chunk = tree.chunks.find((one) => hexOf(one.sha256!) === name)!;
    const bytes = await reader.chunk({ sha256: chunk.sha256!, size: chunk.size });
    t.equal(hexOf(sha256(bytes)), name, "the reader gets the damaged chunk from the network");
  }
  t.match(mirrors.health(), exactly({ aside: { why: /arrived with other bytes/ } }));
});

t.test("with --check, damaged chunks are found by their contents", async (t) => {
  t.match(await mirrored({ check: true }), { damaged: 2, fetchedChunks: 2 });
  t.same(await wrongChunks(), []);
  t.match(await mirrored({ check: true }), { damaged: 0, fetchedChunks: 0 });
  await writeFile(join(chunks, manifest[0]!), Buffer.alloc(10));
  t.match(await mirrored(), { damaged: 1, fetchedChunks: 1 }, "the manifest is always verified");
  await damage();
  t.match(await mirrored({ check: true }), { damaged: 6, fetchedChunks: 7 });
  t.same(await wrongChunks(), []);
});

t.test("symbolic links in place of a mirror's directories are refused", async (t) => {
  const other = join(c.directory, "linked");
  for (const name of [".icfs", ".icfs/chunk", ".icfs/headers"]) {
    await rm(other, { recursive: true, force: true });
    await mkdir(join(other, name === ".icfs" ? "." : ".icfs"), { recursive: true });
    await symlink(join(directory, name), join(other, name));
    const refused = mirrored({ prune: true }, other);
    await t.rejects(refused, { name: "UserError", message: /\.icfs.* is a symbolic link: remove it$/ }, name);
  }
  await rm(other, { recursive: true });
  await symlink(directory, other);
  t.match(
    await mirrored({}, other),
    { fetchedChunks: 0 },
    "the mirror's own directory may be a symbolic link",
  );
});

t.test("a second process at the same mirror is refused", async (t) => {
  const message = /^another process is at work in .*: wait until it has ended/;
  await MirrorDirectory.open(directory, async () => {
    await t.rejects(mirrored(), { name: "UserError", message });
    const other = await c.icfs(["mirror", c.id, directory]);
    t.match(other, { code: 1, stderr: /another process is at work in/ });
  });
  t.match(await mirrored(), { fetchedChunks: 0 });
});

t.test("after --prune, a rollback fetches the removed chunks again", async (t) => {
  await c.publish({ f1: randomBytes(400_000) });
  t.match(await mirrored({ prune: true }), { newest: 2, removed: 2 });
  // As after `icfs rollback`: a release with the tree of an earlier one.
  await c.publish(files);
  t.match(await mirrored({ prune: true }), { newest: 3, fetchedChunks: 2 });
  t.same(await wrongChunks(), []);
});

t.test("a copy of a mirror that has the newest release, but not yet the rest", async (t) => {
  const copy = join(c.directory, "copy");
  await cp(directory, copy, { recursive: true });
  const readBy = (named: boolean) => {
    const mirrors = new Mirrors([`file://${copy}`], { only: named, maxStale: 0 });
    return new MirroredReader(mirrors, openReader(address, HUNG), HUNG);
  };
  const [alone, both] = [readBy(true), readBy(false)];
  const [writer, host] = [process.env.XDG_STATE_HOME, join(c.directory, "state-of-a-host")];
  process.env.XDG_STATE_HOME = host;
  t.equal((await proveRelease(address, alone)).header.number, 3);
  process.env.XDG_STATE_HOME = writer;
  await c.publish({ f2: randomBytes(500_000) });
  await c.publish({ f3: randomBytes(500_000) });
  await mirrored();
  const at = (name: string) => [join(directory, ".icfs", name), join(copy, ".icfs", name)] as const;
  await cp(...at("release"));
  process.env.XDG_STATE_HOME = host;
  const early = proveRelease(address, alone);
  await t.rejects(early, { name: "Error", message: /^no mirror has the headers below release 5: / });
  const proven = await proveRelease(address, both);
  t.equal((await openTree(address, proven, both)).files, 8, "missing chunks come from the network");
  await cp(...at("headers"), { recursive: true });
  const before = await proveRelease(address, alone);
  t.equal(before.header.number, 5);
  await t.rejects(openTree(address, before, alone), {
    message: /^no mirror has chunk \w+ of the manifest: /,
  });
  const third = await proveRelease({ ...address, release: 3 }, alone);
  t.equal((await openTree(address, third, alone)).files, 8, "the earlier release can still be read");
  await cp(...at("chunk"), { recursive: true });
  t.equal((await openTree(address, before, alone)).files, 8);
});

t.test("directories with the names of the mirror's files are replaced", async (t) => {
  await mirrored({ prune: true });
  const [chunk, other] = (await chunksOfRelease()).files;
  const [page] = (await readdir(join(directory, ".icfs/headers"))).map((name) =>
    join(directory, ".icfs/headers", name),
  );
  const stale = "0".repeat(64);
  for (const path of [join(chunks, chunk!), page!, join(directory, ".icfs/release"), join(chunks, stale)]) {
    await rm(path, { recursive: true, force: true });
    await mkdir(join(path, "more"), { recursive: true });
  }
  await mkdir(join(chunks, `${other}.${"0".repeat(16)}.new`, "more"), { recursive: true });
  t.match(await mirrored({ prune: true }), { damaged: 1 });
  t.same(await wrongChunks(), [], "only intact chunks are left");
  t.ok((await stat(page!)).isFile());
});
