/** The disk store: whatever happens to its files, what it gives out has the right hash. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, readFile, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t from "tap";
import { storedChunks } from "../../lib/cache/disk-space.ts";
import { DiskStore, openDiskStore } from "../../lib/cache/disk-store.ts";
import { Pins } from "../../lib/cache/pins.ts";
import { createLog } from "../../lib/log.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const run = promisify(execFile);
const KiB = 1024;
const WRITER = fileURLToPath(new URL("disk-writer.ts", import.meta.url));

interface Test {
  teardown(work: () => Promise<void> | void): void;
}

function chunk(size = 10 * KiB): { key: string; bytes: Buffer } {
  const bytes = randomBytes(size);
  return { key: createHash("sha256").update(bytes).digest("hex"), bytes };
}

async function open(t: Test, capacity = 1024 * KiB, directory?: string) {
  const logged: string[] = [];
  const path = directory ?? (await temporaryDirectory(t));
  const store = new DiskStore(
    path,
    capacity,
    createLog("info", (line) => logged.push(line)),
  );
  t.teardown(() => store.close());
  return {
    store,
    logged,
    directory: path,
    pathOf: (key: string) => join(path, "chunks", key.slice(0, 2), key),
  };
}

t.test("what is written is there, for others as well", async (t) => {
  const { store, directory, pathOf } = await open(t);
  const { key, bytes } = chunk();
  t.equal(await store.read(key), undefined);
  await store.write(key, bytes);
  t.same(await store.read(key), bytes);
  t.ok(await store.has(key, bytes.length));
  t.notOk(await store.has(key, bytes.length + 1));
  const other = await open(t, 1024 * KiB, directory);
  t.same(await other.store.read(key), bytes);
  t.equal((await stat(pathOf(key))).mode & 0o777, 0o600);
  t.match(store.statistics, { reads: 1, writes: 1, bytesWritten: bytes.length, corrupt: 0 });
});

t.test("damage of every kind is noticed, and written anew", async (t) => {
  const { store, logged, pathOf } = await open(t);
  const damages: Record<string, (path: string, bytes: Buffer) => Promise<unknown>> = {
    "a flipped bit": (path, bytes) => {
      const flipped = Buffer.from(bytes);
      flipped[1000]! ^= 4;
      return writeFile(path, flipped);
    },
    "cut off": (path) => truncate(path, 100),
    empty: (path) => truncate(path, 0),
    longer: (path, bytes) => writeFile(path, Buffer.concat([bytes, Buffer.from("x")])),
    "a directory": async (path) => {
      await run("rm", [path]);
      await mkdir(join(path, "in it"), { recursive: true });
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    const { key, bytes } = chunk();
    await store.write(key, bytes);
    await damage(pathOf(key), bytes);
    t.equal(await store.read(key), undefined, name);
    t.match(logged.at(-1), key.slice(0, 16), name);
    await store.write(key, bytes);
    t.same(await store.read(key), bytes, `${name}: and written again`);
  }
  t.equal(store.statistics.corrupt, Object.keys(damages).length);
});

t.test("what was used longest ago goes first, and what is pinned stays", async (t) => {
  const { store, directory, pathOf } = await open(t, 100 * KiB);
  const chunks = Array.from({ length: 9 }, () => chunk());
  for (const [i, { key, bytes }] of chunks.entries()) {
    await store.write(key, bytes);
    await utimes(pathOf(key), 1000 + i, 1000 + i);
  }
  // Another mount's.
  const other = await open(t, 100 * KiB, directory);
  await other.store.pin("trees", [chunks[0]!.key, chunks[2]!.key]);
  t.same(await store.read(chunks[1]!.key), chunks[1]!.bytes);
  await eventually(async () => (await stat(pathOf(chunks[1]!.key))).mtimeMs > 1_000_000);
  for (let i = 0; i < 3; i++) {
    const { key, bytes } = chunk();
    await store.write(key, bytes);
    t.ok(await store.has(key, bytes.length));
  }
  const left = (await storedChunks(directory)).map(({ key }) => key);
  for (const i of [0, 1, 2]) t.ok(left.includes(chunks[i]!.key), `chunk ${i} is pinned, or was just used`);
  for (const i of [3, 4]) t.notOk(left.includes(chunks[i]!.key), `chunk ${i} is gone`);
  t.ok(left.length <= 10, "within the limit");
});

t.test("room is made also where something else has a chunk's name", async (t) => {
  const { store, pathOf } = await open(t, 30 * KiB);
  const { key } = chunk();
  await mkdir(join(pathOf(key), "in it"), { recursive: true });
  await utimes(pathOf(key), 1000, 1000);
  for (let i = 0; i < 5; i++) {
    const { key, bytes } = chunk();
    await store.write(key, bytes);
    t.ok(await store.has(key, bytes.length));
  }
  t.equal(store.problem, undefined);
});

t.test("when all is pinned nothing more is kept, and that is said once", async (t) => {
  const { store, logged } = await open(t, 30 * KiB);
  const chunks = Array.from({ length: 3 }, () => chunk());
  for (const { key, bytes } of chunks) await store.write(key, bytes);
  await store.pin(
    "trees",
    chunks.map(({ key }) => key),
  );
  for (let i = 0; i < 2; i++) {
    const { key, bytes } = chunk();
    await store.write(key, bytes);
    t.notOk(await store.has(key, bytes.length));
  }
  t.equal(logged.filter((line) => line.includes("too small")).length, 1);
  for (const { key, bytes } of chunks) t.same(await store.read(key), bytes);
});

t.test("what dead processes have pinned does not count", async (t) => {
  const { directory } = await open(t);
  const { key, bytes } = chunk();
  const writer = startWriter(t, directory, key);
  const pins = new Pins(directory);
  t.teardown(() => pins.close());
  await eventually(async () => (await pins.read()).length === 1);
  t.match(await pins.read(), [{ pid: writer.pid, name: "test" }]);
  writer.kill("SIGKILL");
  await eventually(async () => (await pins.read()).length === 0);
  t.same(await readdir(join(directory, "pins")), [], "and is taken away");
  t.equal(bytes.length, 10 * KiB);
});

t.test("killed at any moment, it leaves nothing but whole chunks", async (t) => {
  const { directory } = await open(t);
  for (let i = 0; i < 12; i++) {
    const before = (await storedChunks(directory)).length;
    const writer = startWriter(t, directory);
    await eventually(async () => (await storedChunks(directory)).length > before + 1);
    await sleep(Math.random() * 50);
    writer.kill("SIGKILL");
  }
  const chunks = await storedChunks(directory);
  t.ok(chunks.length > 20, `${chunks.length} chunks`);
  const { store } = await open(t, 1024 * KiB, directory);
  for (const { key } of chunks) t.ok(await store.read(key), key);
  t.equal(store.statistics.corrupt, 0);
});

t.test("a full disk, and one that is read-only, are gone without", async (t) => {
  const directory = await temporaryDirectory(t);
  await run("mount", ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", directory]);
  t.teardown(() => run("umount", ["-l", directory]).then(() => {}));
  const { store, logged } = await open(t, 1024 * KiB, directory);
  const chunks = Array.from({ length: 12 }, () => chunk());
  for (const { key, bytes } of chunks) await store.write(key, bytes);
  t.match(store.problem, /ENOSPC|no space/i);
  t.equal(logged.filter((line) => line.includes("cannot be written to")).length, 1, "said once");
  const kept = [];
  for (const { key, bytes } of chunks) {
    const read = await store.read(key);
    if (read !== undefined) t.same(read, bytes);
    kept.push(read);
  }
  t.ok(kept.filter(Boolean).length >= 4, "what had room is there");
  const names = (await readdir(join(directory, "chunks"), { recursive: true })).filter((name) =>
    name.endsWith(".new"),
  );
  t.same(names, [], "nothing half written");
  await run("mount", ["-o", "remount,ro", directory]);
  const readOnly = await open(t, 1024 * KiB, directory);
  const { key, bytes } = chunk(100);
  await readOnly.store.write(key, bytes);
  // Node says ENOENT of a directory that cannot be made there.
  t.match(readOnly.store.problem, /EROFS|read-only|ENOENT/i);
  t.ok(await readOnly.store.read((await storedChunks(directory))[0]!.key), "what is there is read");
  await readOnly.store.writeBlob("name", bytes);
  t.equal(await readOnly.store.readBlob("name"), undefined);
});

t.test("small files", async (t) => {
  const { store, directory } = await open(t);
  t.equal(await store.readBlob("name"), undefined);
  await store.writeBlob("name", Buffer.from("first"));
  await store.writeBlob("name", Buffer.from("second"));
  t.same(await store.readBlob("name"), Buffer.from("second"));
  await store.writeBlob("large", Buffer.alloc(33 * 1024 * KiB));
  t.equal(await store.readBlob("large"), undefined, "is not kept");
  t.same(await readFile(join(directory, "proofs/name")), Buffer.from("second"));
});

t.test("the directory is private, or refused", async (t) => {
  const parent = await temporaryDirectory(t);
  const directory = join(parent, "new/cache");
  const log = createLog("error");
  const store = openDiskStore(directory, 1, log);
  t.teardown(() => store.close());
  t.equal((await stat(directory)).mode & 0o777, 0o700);
  await chmod(directory, 0o777);
  t.throws(() => openDiskStore(directory, 1, log), {
    name: "UserError",
    message: /others may write in .*chmod 700/,
  });
  await run("chown", ["65534", directory]);
  t.throws(() => openDiskStore(directory, 1, log), { name: "UserError", message: /belongs to another user/ });
  await writeFile(join(parent, "file"), "");
  t.throws(() => openDiskStore(join(parent, "file"), 1, log), {
    name: "UserError",
    message: /cannot make the cache directory/,
  });
});

/** A process that writes chunks until it is killed, and pins `pinned`. */
function startWriter(t: Test, directory: string, pinned = ""): ChildProcess {
  const child = spawn(process.execPath, [WRITER, directory, pinned], { stdio: "inherit" });
  t.teardown(() => {
    child.kill("SIGKILL");
  });
  return child;
}

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await condition()) return;
    await sleep(25);
  }
  throw new Error("waited in vain");
}

t.test("many are pinned, and read again, in steps", async (t) => {
  const { store, directory } = await open(t, 100 * KiB);
  const keys = Array.from({ length: 10_001 }, (_, i) => i.toString(16).padStart(64, "0"));
  let isDone = false;
  let turns = 0;
  const pinning = store.pin("trees", keys).finally(() => {
    isDone = true;
  });
  for (; !isDone; turns++) await new Promise(setImmediate);
  await pinning;
  t.ok(turns >= 5);
  const [pin] = await new Pins(directory).read();
  t.strictSame(pin?.keys, new Set(keys));
});
