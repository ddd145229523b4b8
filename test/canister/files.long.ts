/**
 * The original's read interface, `listing` and `get`, on the icfs canister. It answers as the original's canister does (its twin,
 * test/support/icboot.mo) with the same tree, uploaded in the way of the original's uploader. `find -L` lists the files to upload: like that
 * uploader it follows symlinks, and it does not go in circles.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { fromAgent } from "../../lib/ic/agent-error.ts";
import { startCanister, type TestCanister } from "../support/canister-network.ts";
import { filesFound, makeTree, type Tree } from "../support/directories.ts";
import { type IcbootActor, icbootActor, startIcboot } from "../support/icboot.ts";
import { startIcfsCanister, treeOf } from "../support/icfs-canister.ts";
import { replaceCanister } from "../support/networks.ts";

const SECTOR = 512;
const MIB = 1024 * 1024;

/** Files and links as in Debian's netboot archive, with sizes around those of sectors and chunks. */
const DEBIAN: Tree = {
  "debian-installer/amd64/boot-screens/ldlinux.c32": randomBytes(119_092),
  "debian-installer/amd64/boot-screens/menu.cfg": Buffer.from("menu"),
  "debian-installer/amd64/boot-screens/libcom32.c32": randomBytes(512),
  "debian-installer/amd64/grub/x86_64-efi/normal.mod": randomBytes(1024),
  "debian-installer/amd64/initrd.gz": randomBytes(1.5 * MIB + 7),
  "debian-installer/amd64/linux": randomBytes(MIB),
  "debian-installer/amd64/pxelinux.0": randomBytes(42_988),
  "debian-installer/amd64/pxelinux.cfg/default": "->../boot-screens/menu.cfg",
  "ldlinux.c32": "->debian-installer/amd64/boot-screens/ldlinux.c32",
  "pxelinux.0": "->debian-installer/amd64/pxelinux.0",
  "pxelinux.cfg": "->debian-installer/amd64/pxelinux.cfg",
  "version.info": Buffer.from("Debian version: 12\n"),
  "empty/file": Buffer.alloc(0),
  "empty/directory": null,
  "größe/ß": Buffer.from("ü"),
};

/** Links that lead around, and names that sort between a directory and what is in it. */
const LABYRINTH: Tree = {
  a: null,
  "a/x": Buffer.from("a/x"),
  "a-b": Buffer.from("a-b"),
  "a.d/x": Buffer.from("a.d/x"),
  "a/here": "->.",
  "a/up": "->..",
  "a/b/c/deep": Buffer.from("deep"),
  "a/b/c/to-a": "->../..",
  "a/b/c/to-d": "->../../../d",
  "d/to-c": "->../a/b/c",
  "d/to-b": "->../a/b",
  "d/file": Buffer.from("d/file"),
  "d/to-file": "->to-c/deep",
  "d/to-a.d": "->../a.d/",
  into: "->a/b/c",
  "into-again": "->./into/../../b",
  whole: "->.",
};

const sorted = (listing: readonly [string, bigint][]) => [...listing].sort(([a], [b]) => (a < b ? -1 : 1));
const asOriginal = ({ publisherAgent, canister }: TestCanister) => icbootActor(publisherAgent, canister);
const get = (actor: IcbootActor, filename: string, sector: number | bigint, count: number | bigint) =>
  actor.get({ filename, sector_no: BigInt(sector), count: BigInt(count) });
const failure = (call: Promise<unknown>): Promise<string> =>
  call.then(
    (value) => `succeeded with ${value}`,
    (error) => fromAgent(error).message,
  );

async function publish(canister: TestCanister, tree: Tree, name: string): Promise<string> {
  const directory = join(canister.directory, name);
  await mkdir(directory);
  await makeTree(directory, tree);
  const { code, stderr } = await canister.icfs(["publish", directory, canister.canister.toText()]);
  if (code !== 0) throw new Error(stderr);
  return directory;
}

/** Reads a whole file, `count` sectors at a time, until fewer come: the original's TFTP server does the same. */
async function whole(actor: IcbootActor, name: string, count: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  do parts.push(await get(actor, name, parts.length * count, count));
  while (parts.at(-1)!.length === count * SECTOR);
  return Buffer.concat(parts);
}

async function same(t: Test, tree: Tree): Promise<void> {
  const canister = await startCanister(t);
  const directory = await publish(canister, tree, "tree");
  const ours = asOriginal(canister);
  const original = await startIcboot(t);
  const files = await filesFound(directory);
  for (const [path] of files) await original.put(path, await readFile(join(directory, path)));
  t.strictSame(sorted(await ours.listing()), sorted(files), "the listing has the files that find -L finds");
  t.strictSame(
    sorted(await ours.listing()),
    sorted(await original.listing()),
    "the listing is the same as the original canister's",
  );
  for (const [path, size] of files) {
    const last = Number(size) / SECTOR;
    const places = [0, 1, Math.floor(last) - 1, Math.floor(last), Math.ceil(last), Math.ceil(last) + 1];
    for (const sector of new Set(places.filter((place) => place >= 0))) {
      for (const count of [0, 1, 4096]) {
        const [here, there] = await Promise.all([
          get(ours, path, sector, count),
          original.get(path, sector, count),
        ]);
        if (!Buffer.from(here).equals(there)) t.fail(`${path}: ${count} sectors from ${sector} on`);
      }
    }
    t.ok((await whole(ours, path, 2048)).equals(await readFile(join(directory, path))), path);
  }
}

t.test("a tree like Debian's netboot archive", (t) => same(t, DEBIAN));

t.test("a tree whose links lead in circles", (t) => same(t, LABYRINTH));

t.test("reading block by block, like the original's TFTP server, gives whole files", async (t) => {
  const canister = await startCanister(t);
  await publish(canister, DEBIAN, "tree");
  const ours = asOriginal(canister);
  const sizes = new Map(await ours.listing());
  for (const name of ["pxelinux.0", "ldlinux.c32", "pxelinux.cfg/default"]) {
    const content = await whole(ours, name, 1);
    t.equal(BigInt(content.length), sizes.get(name), `${name} has its listed length`);
    const target =
      DEBIAN[name] === undefined ? "boot-screens/menu.cfg" : `${(DEBIAN[name] as string).slice(2)}`;
    t.ok(content.equals(DEBIAN[target.replace(/^(?!debian)/, "debian-installer/amd64/")] as Buffer), name);
  }
});

t.test("get of a path that is not a file is empty", async (t) => {
  const canister = await startCanister(t);
  const ours = asOriginal(canister);
  t.strictSame(await ours.listing(), [], "the listing is empty before the first release");
  t.equal((await get(ours, "a", 0, 1)).length, 0);
  await publish(canister, LABYRINTH, "tree");
  const names = ["", "/", ".", "..", "a", "into", "whole", "absent", "a/absent", "a-b/x", "d/to-file/x"];
  // The original does not normalize names, and none of these is exactly a file's name.
  names.push("/a/x", "./a/x", "a//x", "a/x/", "a/../a/x", "a/./x", "a/x\0", "A/x", "x".repeat(5000));
  names.push(Array(41).fill("a/here").join("/"), `${"whole/".repeat(41)}a-b`);
  for (const name of names)
    t.equal((await get(ours, name, 0, 1)).length, 0, JSON.stringify(name.slice(0, 30)));
  const way = `${"whole/".repeat(40)}a-b`;
  t.equal(
    Buffer.from(await get(ours, way, 0, 1)).toString(),
    "a-b",
    "a path through 40 links is followed, as on Linux",
  );
});

t.test("get handles sector numbers and counts of any size", async (t) => {
  const canister = await startCanister(t);
  await publish(canister, { small: randomBytes(1000), large: randomBytes(4 * MIB) }, "tree");
  const ours = asOriginal(canister);
  const huge = [2n ** 32n, 2n ** 55n, 2n ** 64n - 1n, 2n ** 64n, 10n ** 1000n];
  for (const sector of huge) t.equal((await get(ours, "large", sector, 1)).length, 0);
  for (const count of huge) {
    t.equal(
      (await get(ours, "small", 0, count)).length,
      1000,
      "a small file is returned whole for a huge count",
    );
    t.equal((await get(ours, "small", 1, count)).length, 488);
    t.equal((await get(ours, "small", count, count)).length, 0);
    t.match(
      await failure(get(ours, "large", 0, count)),
      /get: 4194304 bytes do not fit a reply; ask for at most 4096 sectors at once/,
    );
    t.equal((await get(ours, "large", 8191, count)).length, SECTOR);
  }
  t.equal(
    (await get(ours, "large", 0, 6143)).length,
    6143 * SECTOR,
    "get returns as many sectors as fit in a reply",
  );
});

t.test("an empty release has an empty listing", async (t) => {
  const canister = await startCanister(t);
  await publish(canister, {}, "tree");
  t.strictSame(await asOriginal(canister).listing(), []);
});

t.test("the newest release is served at once, also after a rollback", async (t) => {
  const canister = await startCanister(t);
  const ours = asOriginal(canister);
  await publish(canister, { a: Buffer.from("first"), b: Buffer.from("b") }, "first");
  await publish(canister, { a: Buffer.from("second"), c: "->a" }, "second");
  const now = async (name: string) => Buffer.from(await get(ours, name, 0, 1)).toString();
  t.strictSame(await ours.listing(), [
    ["a", 6n],
    ["c", 6n],
  ]);
  t.strictSame([await now("a"), await now("b"), await now("c")], ["second", "", "second"]);
  const { code, stderr } = await canister.icfs(["rollback", canister.canister.toText(), "1"]);
  t.equal(code, 0, stderr);
  t.strictSame(await ours.listing(), [
    ["a", 5n],
    ["b", 1n],
  ]);
  t.strictSame([await now("a"), await now("b"), await now("c")], ["first", "b", ""]);
  const wasm = await readFile(new URL("../../build/icfs.wasm", import.meta.url));
  await replaceCanister(canister.publisherAgent, canister.canister, "upgrade", Uint8Array.from(wasm));
  t.strictSame(
    [await now("a"), await now("b"), await now("c")],
    ["first", "b", ""],
    "the files are the same after an upgrade",
  );
});

t.test("a release published before this interface existed can be read after the upgrade", async (t) => {
  const before = Uint8Array.from(await readFile(new URL("before/first.wasm", import.meta.url)));
  const { owner, publish, network, id } = await startIcfsCanister(t, {}, before);
  const { manifest, chunks } = treeOf({ a: "content", b: "other" });
  await owner.put(chunks);
  t.match(await publish(manifest), { ok: 1n });
  const wasm = await readFile(new URL("../../build/icfs.wasm", import.meta.url));
  await network.replace(id, "upgrade", Uint8Array.from(wasm));
  const ours = icbootActor(network.agent, id);
  t.strictSame(await ours.listing(), [
    ["a", 7n],
    ["b", 5n],
  ]);
  t.equal(Buffer.from(await get(ours, "b", 0, 1)).toString(), "other");
});
