/** The disk store: whatever happens to its files, the chunks that it returns have the right hash. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import {
  chmod,
  lutimes,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import t from "tap";
import { stored } from "../../lib/cache/disk-space.ts";
import { openDiskStore } from "../../lib/cache/disk-store.ts";
import { Pins } from "../../lib/cache/pins.ts";
import { withLock } from "../../lib/lock.ts";
import { createLog } from "../../lib/log.ts";
import { removeAbandoned } from "../../lib/replace-file.ts";
import { eventually } from "../mount/mounts.ts";
import { stopClock } from "../support/clock.ts";
import { runInContainer } from "../support/containers.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { chunk, open, startWriter } from "./stores.ts";

const run = promisify(execFile);
const KiB = 1024;

t.test("a written chunk can be read, also by another store over the same directory", async (t) => {
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

t.test("many writes at once leave threads of the pool to readers", async (t) => {
  const { store, directory } = await open(t, 64 * 1024 * KiB);
  const chunks = Array.from({ length: 24 }, () => chunk(512 * KiB));
  let isOver = false;
  const written = Promise.all(chunks.map(({ key, bytes }) => store.write(key, bytes))).finally(() => {
    isOver = true;
  });
  let most = 0;
  for (; !isOver; await turn()) {
    const names = readdirSync(directory, { recursive: true }) as string[];
    most = Math.max(most, names.filter((name) => name.endsWith(".new")).length);
  }
  await written;
  t.ok(most >= 1 && most <= 3, `${most} chunks are written at a time`);
  for (const { key } of chunks) t.ok(await store.has(key));
});

t.test("damage of every kind is noticed, and the chunk can be written again", async (t) => {
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
    "a pipe that nobody writes to": async (path) => {
      await run("rm", [path]);
      await run("mkfifo", [path]);
    },
    "a link to a device without an end": (path) => run("ln", ["-sf", "/dev/zero", path]),
    "of an absurd size": (path) => truncate(path, 2 ** 40),
  };
  for (const [name, damage] of Object.entries(damages)) {
    const { key, bytes } = chunk();
    await store.write(key, bytes);
    await damage(pathOf(key), bytes);
    t.equal(await store.read(key), undefined, name);
    t.match(logged.at(-1), key.slice(0, 16), name);
    await store.write(key, bytes);
    t.same(await store.read(key), bytes, `${name}: the chunk can be written again`);
  }
  t.equal(store.statistics.corrupt, Object.keys(damages).length);
});

t.test("the least recently used chunk is evicted first, and pinned chunks stay", async (t) => {
  // The size of ten chunks with their directories, in blocks of 4 KiB.
  const capacity = 168 * KiB;
  const { store, directory, pathOf } = await open(t, capacity);
  const chunks = Array.from({ length: 9 }, () => chunk());
  for (const [i, { key, bytes }] of chunks.entries()) {
    await store.write(key, bytes);
    await utimes(pathOf(key), 1000 + i, 1000 + i);
  }
  // Another mount pins two chunks.
  const other = await open(t, capacity, directory);
  await other.store.pin("trees", [chunks[0]!.key, chunks[2]!.key]);
  t.same(await store.read(chunks[1]!.key), chunks[1]!.bytes);
  await eventually("it is touched", async () => (await stat(pathOf(chunks[1]!.key))).mtimeMs > 1_000_000);
  for (let i = 0; i < 3; i++) {
    const { key, bytes } = chunk();
    await store.write(key, bytes);
    t.ok(await store.has(key, bytes.length));
  }
  const left = (await stored(directory)).chunks.map(({ key }) => key);
  for (const i of [0, 1, 2]) t.ok(left.includes(chunks[i]!.key), `chunk ${i}, pinned or just used, is kept`);
  for (const i of [3, 4]) t.notOk(left.includes(chunks[i]!.key), `chunk ${i} is evicted`);
  t.ok(left.length <= 10, "the number of chunks stays within the limit");
});

t.test("room is made even when a directory stands under a chunk's name", async (t) => {
  const { store, pathOf } = await open(t, 50 * KiB);
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

t.test("when all chunks are pinned, no more are kept, and this is logged once", async (t) => {
  const { store, logged } = await open(t, 60 * KiB);
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

t.test("a writer killed at any moment leaves only whole chunks", async (t) => {
  const { directory } = await open(t);
  for (let i = 0; i < 12; i++) {
    const before = new Set((await stored(directory)).chunks.map(({ key }) => key));
    const writer = startWriter(t, directory);
    // The number of chunks would not do: once the cache is full, old chunks are evicted.
    const written = async () => (await stored(directory)).chunks.filter(({ key }) => !before.has(key));
    await eventually("it writes", async () => (await written()).length > 1);
    await sleep(Math.random() * 50);
    writer.kill("SIGKILL");
  }
  const chunks = (await stored(directory)).chunks;
  t.ok(chunks.length > 20, `${chunks.length} chunks`);
  const { store } = await open(t, 1024 * KiB, directory);
  for (const { key } of chunks) t.ok(await store.read(key), key);
  t.equal(store.statistics.corrupt, 0);
});

t.test("a full or read-only disk is reported, and chunks already on it are still read", async (t) => {
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
  t.ok(kept.filter(Boolean).length >= 4, "chunks that fit on the full disk can be read");
  const names = (await readdir(join(directory, "chunks"), { recursive: true })).filter((name) =>
    name.endsWith(".new"),
  );
  t.same(names, [], "no half-written file remains");
  await run("mount", ["-o", "remount,ro", directory]);
  const readOnly = await open(t, 1024 * KiB, directory);
  const { key, bytes } = chunk(100);
  await readOnly.store.write(key, bytes);
  t.match(readOnly.store.problem, /EROFS: read-only file system/);
  t.ok(
    await readOnly.store.read((await stored(directory)).chunks[0]!.key),
    "a chunk on a read-only disk can be read",
  );
  await readOnly.store.writeBlob("name", bytes);
  t.equal(await readOnly.store.readBlob("name"), undefined);
});

t.test("small files", async (t) => {
  const { store, directory } = await open(t);
  t.equal(await store.readBlob("name"), undefined);
  t.equal(await store.writeBlob("name", Buffer.from("first")), true);
  await store.writeBlob("name", Buffer.from("second"));
  t.same(await store.readBlob("name"), Buffer.from("second"));
  t.equal(await store.writeBlob("large", Buffer.alloc(33 * 1024 * KiB)), false);
  t.equal(await store.readBlob("large"), undefined, "is not kept");
  t.same(await readFile(join(directory, "proofs/name")), Buffer.from("second"));
  const isOlder = async (before: Buffer) => {
    t.same(before, Buffer.from("second"));
    return false;
  };
  t.equal(
    await store.writeBlob("name", Buffer.from("first"), isOlder),
    true,
    "a write succeeds when the existing file is to stay",
  );
  t.same(await store.readBlob("name"), Buffer.from("second"));
});

t.test("a small file or pin replaced by a pipe, device link or directory blocks nothing", async (t) => {
  const { store, directory } = await open(t);
  await store.writeBlob("name", Buffer.from("first"));
  await store.pin("trees", [chunk().key]);
  const [pin] = await readdir(join(directory, "pins"));
  const pins = new Pins(directory);
  t.teardown(() => pins.close());
  const programs = [
    `mkfifo "$1"`,
    `ln -s /dev/zero "$1"`,
    `mkdir -p "$1/in/it"`,
    `ln -s /proc/self/pagemap "$1"`,
  ];
  for (const program of programs) {
    for (const path of [join(directory, "proofs/name"), join(directory, "pins", pin!)]) {
      await run("sh", ["-c", `rm -rf "$1" && ${program}`, "sh", path]);
    }
    t.same((await store.readBlob("name")) ?? Buffer.alloc(0), Buffer.alloc(0), program);
    t.equal(await store.writeBlob("name", Buffer.from("second")), true);
    t.same(await store.readBlob("name"), Buffer.from("second"));
    await t.rejects(
      pins.read(),
      { message: /is not a file|is damaged/ },
      "reading the pins fails while a pin file is replaced",
    );
  }
});

t.test("links planted in the cache do not change anything outside it", async (t) => {
  const { key, bytes } = chunk();
  for (const name of ["chunks", `chunks/${key.slice(0, 2)}`, "proofs", "pins", "proofs.lock"]) {
    const { store, directory } = await open(t, 60 * KiB);
    const victim = await temporaryDirectory(t);
    const old = join(victim, "of-the-victim.new");
    await writeFile(old, "");
    await writeFile(join(victim, key), "of the victim");
    for (const file of [old, join(victim, key)]) await utimes(file, 1, 1);
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await symlink(name === "proofs.lock" ? join(victim, "made") : victim, join(directory, name));
    const before = await readdir(victim);
    await store.write(key, bytes);
    await store.writeBlob("name", bytes);
    await store.pin("trees", [key]);
    openDiskStore(directory, 60 * KiB, createLog("error")).close();
    for (let i = 0; i < 6; i++) await store.write(chunk().key, chunk().bytes);
    await removeAbandoned(join(directory, "proofs"));
    await stored(directory);
    await new Pins(directory).read().catch(() => {});
    t.same(
      await readdir(victim),
      before,
      `${name}: no file is added to the link's target or removed from it`,
    );
    t.equal((await stat(old)).mtimeMs, 1000, "or touched");
    t.equal((await stat(join(victim, key))).mtimeMs, 1000);
  }
  const { store, pathOf } = await open(t);
  const victim = join(await temporaryDirectory(t), "file");
  await writeFile(victim, bytes);
  await utimes(victim, 1, 1);
  await mkdir(dirname(pathOf(key)), { recursive: true });
  await symlink(victim, pathOf(key));
  t.same(await store.read(key), bytes);
  await lutimes(pathOf(key), 2, 2);
  t.equal(
    (await stat(victim)).mtimeMs,
    1000,
    "reading a chunk through a link does not touch the link's target",
  );
});

t.test("a lock that another process holds for ever is waited for only once", async (t) => {
  const { store, directory, logged } = await open(t);
  await store.writeBlob("name", Buffer.from("first"));
  const clock = stopClock(t);
  await withLock(join(directory, "proofs.lock"), async () => {
    let isOver = false;
    const first = store.writeBlob("name", Buffer.from("second")).finally(() => {
      isOver = true;
    });
    await clock.pass(9000);
    t.equal(isOver, false, "for a while");
    await clock.pass(2000);
    t.equal(await first, false);
    const then = performance.now();
    for (let i = 0; i < 3; i++) t.equal(await store.writeBlob("name", Buffer.from("second")), false);
    t.equal(performance.now(), then, "further writes do not wait for the lock");
  });
  t.match(logged.at(-1), /another process has \S+proofs.lock locked: end it/);
  t.equal(
    await store.writeBlob("name", Buffer.from("third")),
    true,
    "a write succeeds once the lock is free",
  );
  t.same(await store.readBlob("name"), Buffer.from("third"));
});

t.test("containers that share one slow disk each keep all that they write", async (t) => {
  const { directory, store } = await open(t);
  // This file stands for a chunk that another container has just begun to write.
  const unfinished = join(directory, "chunks/aa", `${"a".repeat(64)}.00.new`);
  await mkdir(join(directory, "chunks/aa"), { recursive: true });
  await writeFile(unfinished, "half of it");
  const COUNT = 12;
  const program = new URL("container-writer.ts", import.meta.url);
  const containers = Array.from({ length: 4 }, () => runInContainer(program, [directory, String(COUNT)]));
  for (const result of await Promise.all(containers))
    t.match(result, { code: 0, stderr: "", stdout: "kept\n" });
  t.equal((await stored(directory)).chunks.length, COUNT);
  t.equal(
    (await store.readBlob("counter"))!.toString(),
    String(COUNT),
    "the counter ends at its highest value",
  );
  t.same(await readdir(join(directory, "pins")), [], "every container removes its own pins");
  const left = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith(".new"));
  t.same(
    left.map((name) => join(directory, name)),
    [unfinished],
    "only another container's unfinished file remains",
  );
});

t.test("chunks used while the clock was years ahead do not outlast chunks used now", async (t) => {
  const { store, directory, pathOf } = await open(t, 60 * KiB);
  const [future, read] = [chunk(), chunk()];
  for (const { key, bytes } of [future, read]) {
    await store.write(key, bytes);
    await utimes(pathOf(key), new Date("2100-01-01"), new Date("2100-01-01"));
  }
  t.ok(await store.read(read.key));
  await eventually("it is touched", async () => (await stat(pathOf(read.key))).mtimeMs <= Date.now());
  for (let i = 0; i < 2; i++) {
    const { key, bytes } = chunk();
    await store.write(key, bytes);
    t.ok(await store.has(key), "there is room");
  }
  t.notOk(await store.has(future.key));
  t.ok(await store.has(read.key), "what was read since is of now");
  const abandoned = `${pathOf(read.key)}.00.new`;
  await writeFile(abandoned, "half of it");
  await utimes(abandoned, new Date("2100-01-01"), new Date("2100-01-01"));
  await stored(directory);
  t.notOk((await readdir(directory, { recursive: true })).some((name) => name.endsWith(".new")));
});

t.test("nothing is evicted while a pin file is damaged", async (t) => {
  // The size of three chunks with their directories, in blocks of 4 KiB.
  const capacity = 60 * KiB;
  const { store, directory } = await open(t, capacity);
  const chunks = Array.from({ length: 3 }, () => chunk());
  for (const { key, bytes } of chunks) await store.write(key, bytes);
  await store.pin("trees", [chunks[0]!.key, chunks[1]!.key]);
  const [name] = await readdir(join(directory, "pins"));
  for (const length of [0, 1, 33, 63]) {
    await truncate(join(directory, "pins", name!), length);
    const other = await open(t, capacity, directory);
    const { key, bytes } = chunk();
    await other.store.write(key, bytes);
    t.match(
      other.store.problem,
      /which says what a mount or icfs serve needs, is damaged: end that one, or remove the file/,
    );
    for (const one of chunks)
      t.same(
        await store.read(one.key),
        one.bytes,
        `no chunk is evicted when a pin file is cut off at ${length} bytes`,
      );
  }
  await store.pin("trees", []);
  t.same(await readdir(join(directory, "pins")), [], "an empty list of pins leaves no file");
});

t.test("the cache directory is created private, and an unsafe one is refused", async (t) => {
  const parent = await temporaryDirectory(t);
  const directory = join(parent, "new/cache");
  const log = createLog("error");
  const store = openDiskStore(directory, 1, log);
  t.teardown(() => store.close());
  t.equal((await stat(directory)).mode & 0o777, 0o700);
  await chmod(directory, 0o777);
  t.throws(() => openDiskStore(directory, 1, log), {
    name: "UserError",
    message: /others can write to .*chmod 700/,
  });
  await run("chown", ["65534", directory]);
  t.throws(() => openDiskStore(directory, 1, log), { name: "UserError", message: /belongs to another user/ });
  await writeFile(join(parent, "file"), "");
  t.throws(() => openDiskStore(join(parent, "file"), 1, log), {
    name: "UserError",
    message: /cannot make the cache directory/,
  });
});

/** The bytes that a directory takes on disk, by du(1), which counts independently of the store. */
async function du(directory: string): Promise<number> {
  const { stdout } = await run("du", ["--summarize", "--block-size=1", directory]);
  return Number.parseInt(stdout, 10);
}

t.test("chunks of a few bytes stay within the capacity on disk", async (t) => {
  const capacity = 256 * KiB;
  const { store, directory } = await open(t, capacity);
  const sizes = [1, 100, 4096, 4097, 5000];
  for (let i = 0; i < 10; i++) {
    // Readers and hydration write as many at once.
    const chunks = Array.from({ length: 16 }, (_, at) => chunk(sizes[(i + at) % sizes.length]));
    await Promise.all(chunks.map(({ key, bytes }) => store.write(key, bytes)));
    const taken = await du(join(directory, "chunks"));
    t.ok(taken <= capacity, `${taken} bytes`);
    t.equal((await stored(directory)).taken, taken, "the count of stored bytes agrees with du");
    t.ok(Math.abs(store.used! - taken) < capacity / 4, `the store counts ${store.used} bytes as used`);
  }
  const taken = await du(join(directory, "chunks"));
  t.ok(taken > capacity / 2, `${taken} bytes, more than half of the capacity, are used`);
});

t.test("two mounts that write in turn stay close to the shared capacity", async (t) => {
  const capacity = 512 * KiB;
  const { store, directory } = await open(t, capacity);
  const { store: other } = await open(t, capacity, directory);
  for (let i = 0; i < 100; i++) {
    const { key, bytes } = chunk(1);
    await (i % 2 === 0 ? store : other).write(key, bytes);
  }
  const taken = await du(join(directory, "chunks"));
  t.ok(taken <= 1.3 * capacity, `${taken} bytes`);
});

t.test("chunks for which fits() holds do fit on disk, counted in blocks", async (t) => {
  for (const [size, count] of [
    [1, 60],
    [4097, 30],
    [10_000, 10],
    [100_000, 2],
  ] as const) {
    const sizes = Array.from({ length: count }, () => size);
    const { store: measured } = await open(t, Number.MAX_SAFE_INTEGER);
    t.ok(measured.fits(sizes));
    const blocks = Math.ceil(size / 4096) + 1;
    const capacity = 4096 * (blocks * count + 2);
    const { store } = await open(t, capacity);
    t.ok(store.fits(sizes), `${count} chunks of ${size} bytes fit`);
    t.notOk(store.fits([...sizes, size]), "one more chunk does not fit");
    const chunks = sizes.map(() => chunk(size));
    await store.pin(
      "trees",
      chunks.map(({ key }) => key),
    );
    for (const { key, bytes } of chunks) {
      await store.write(key, bytes);
      t.ok(await store.has(key, size));
    }
    t.equal(store.problem, undefined);
  }
});

t.test("many chunks are pinned in steps, and all are read back", async (t) => {
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
