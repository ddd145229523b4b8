import { createHash } from "node:crypto";
import { appendFile, lstat, mkdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { chunkTree } from "../../lib/publish/chunker.ts";
import { PACK_MAX_BYTES, PACK_TARGET_BYTES } from "../../lib/publish/packing.ts";
import { Problems } from "../../lib/publish/problems.ts";
import { EVERYTHING, scan } from "../../lib/publish/scan.ts";
import { isMade } from "../../lib/publish/scanned.ts";
import { stateOf } from "../../lib/publish/seen.ts";
import type { FileEntry } from "../../lib/tree/manifest.ts";
import { decodeManifest } from "../../lib/tree/manifest-decoder.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { bytesOf, bytesToSend, chunked, reassembled, writeTree } from "./trees.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
/** Sizes around every border: sectors, small and large files, chunks. */
const SIZES = [
  0,
  1,
  511,
  512,
  513,
  256 * KiB - 1,
  256 * KiB,
  256 * KiB + 1,
  MiB - 1,
  MiB,
  MiB + 1,
  3 * MiB + 7,
];

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

t.test(
  "every file can be reassembled from its chunks, and the manifest can be decoded from its pieces",
  async (t) => {
    const directory = await temporaryDirectory(t);
    let number = 0;
    const size = fc.oneof(fc.constantFrom(...SIZES), fc.nat(PACK_TARGET_BYTES), fc.nat(3000));
    const everyFile = fc.asyncProperty(
      fc.array(fc.record({ size, seed: fc.nat(5) }), { maxLength: 25 }),
      async (files) => {
        number += 1;
        const tree = join(directory, String(number));
        await mkdir(tree);
        await writeTree(
          tree,
          Object.fromEntries(files.map(({ size, seed }, i) => [`d${i % 3}/f${i}`, bytesOf(seed, size)])),
        );
        const made = await chunked(tree);
        const found = made.manifest.entries.filter((entry) => entry.kind === "file");
        if (found.length !== files.length) throw new Error("a file is missing");
        for (const entry of found) {
          const expected = await readFile(join(tree, entry.path));
          if (!(await reassembled(made, entry)).equals(expected)) throw new Error(`${entry.path} differs`);
          if (entry.size !== expected.length || !sha256(expected).equals(entry.sha256)) {
            throw new Error(`${entry.path}: size or hash`);
          }
        }
        const sum = files.reduce((sum, { size }) => sum + size, 0);
        if (made.bytes !== sum) throw new Error(`${made.bytes} bytes instead of ${sum}`);
        const hashes = new Set<string>();
        for (const chunk of made.chunks) {
          const bytes = await chunk.read();
          if (bytes.length !== chunk.size || !sha256(bytes).equals(chunk.sha256))
            throw new Error("a chunk lies");
          if (chunk.size < 1 || chunk.size > MiB) throw new Error(`a chunk of ${chunk.size} bytes`);
          hashes.add(Buffer.from(chunk.sha256).toString("hex"));
        }
        if (hashes.size !== made.chunks.length) throw new Error("a chunk is there twice");
        const pieces = made.chunks.slice(-made.manifestPieces.length);
        const encoded = Buffer.concat(await Promise.all(pieces.map((piece) => piece.read())));
        // Throws when the entries are out of order, a chunk is not used, an extent runs past its chunk, and so on.
        const decoded = decodeManifest(encoded);
        if (decoded.entries.length !== made.manifest.entries.length) throw new Error("entries are missing");
        await rm(tree, { recursive: true });
      },
    );
    await t.resolves(fc.assert(everyFile, { numRuns: 40 }), "the property holds for 40 random trees");
  },
);

t.test("small files are packed, large ones get chunks of their own", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, Object.fromEntries(SIZES.map((size, i) => [`${i}`, bytesOf(i, size)])));
  const { manifest } = await chunked(directory);
  const users = new Map<number, Set<string>>();
  for (const entry of manifest.entries as readonly FileEntry[]) {
    t.equal(entry.size, SIZES[Number(entry.path)]);
    t.equal(entry.extents.length, Math.ceil(entry.size / MiB), `extents of ${entry.size} bytes`);
    for (const { chunk } of entry.extents) users.set(chunk, (users.get(chunk) ?? new Set()).add(entry.path));
  }
  for (const [chunk, paths] of users) {
    const sizes = [...paths].map((path) => SIZES[Number(path)]!);
    if (sizes.some((size) => size >= PACK_TARGET_BYTES))
      t.equal(paths.size, 1, "a large file shares no chunk");
    else t.ok(manifest.chunks[chunk]!.size <= PACK_MAX_BYTES, "a pack is not too large");
  }
});

t.test("the same tree gives the same chunks, whenever and wherever it is chunked", async (t) => {
  const files = Object.fromEntries(
    Array.from({ length: 60 }, (_, i) => [`d${i % 7}/f${i}`, bytesOf(i, (i * 7919) % (400 * KiB))]),
  );
  const [a, b] = [await temporaryDirectory(t), await temporaryDirectory(t)];
  await writeTree(a, files);
  await writeTree(b, Object.fromEntries(Object.entries(files).reverse()));
  for (const directory of [a, b]) {
    for (const path of [...Object.keys(files), ...Array.from({ length: 7 }, (_, i) => `d${i}`)]) {
      await utimes(join(directory, path), 1_000_000, 1_000_000);
    }
  }
  const hashes = ({ chunks }: { chunks: readonly { sha256: Uint8Array }[] }) =>
    chunks.map(({ sha256 }) => Buffer.from(sha256).toString("hex"));
  t.same(hashes(await chunked(a)), hashes(await chunked(b)));
});

t.test("equal large files share their chunks, and so do equal pieces of different files", async (t) => {
  const directory = await temporaryDirectory(t);
  const shared = bytesOf(1, MiB);
  await writeTree(directory, {
    a: Buffer.concat([shared, bytesOf(2, 300 * KiB)]),
    "b/copy": Buffer.concat([shared, bytesOf(2, 300 * KiB)]),
    c: Buffer.concat([shared, bytesOf(3, 300 * KiB)]),
    d: Buffer.alloc(5 * MiB),
  });
  const { manifest, bytes } = await chunked(directory);
  // The shared MiB, two tails, and one MiB of zeros.
  t.equal(manifest.chunks.length, 4);
  t.equal(bytes, 3 * (MiB + 300 * KiB) + 5 * MiB, "the total counts the bytes of every file");
});

t.test(
  "one small change in 1,000 files, 64 MiB in all, sends at most two packs and the manifest",
  async (t) => {
    const LIMIT = 2.2 * MiB;
    for (const seed of [1, 2, 3]) {
      const directory = await temporaryDirectory(t);
      const random = bytesOf(1000 + seed, 8 * 1000);
      // 0 to 131 KB each, 65.5 KB on average, in 20 directories.
      const path = (i: number) => `d${i % 20}/file${String(i).padStart(4, "0")}`;
      for (let i = 0; i < 1000; i++) {
        const size = i % 10 === 0 ? 10_000 : random.readUInt32BE(8 * i) % 145_000;
        await writeTree(directory, { [path(i)]: bytesOf(seed * 10_000 + i, size) });
      }
      const before = await chunked(directory);
      t.ok(before.bytes > 60 * MiB && before.bytes < 72 * MiB, `${before.bytes} bytes`);
      const victim = join(directory, path(10 * (random.readUInt32BE(4) % 100)));
      const content = await readFile(victim);
      const sent = async () => {
        const bytes = bytesToSend(before, await chunked(directory));
        t.comment(`${(bytes / MiB).toFixed(2)} MiB`);
        return bytes > 0 && bytes <= LIMIT;
      };
      await writeFile(victim, bytesOf(777_000, content.length));
      t.ok(await sent(), `seed ${seed}: ${victim} changed`);
      await rm(victim);
      t.ok(await sent(), `seed ${seed}: ${victim} removed`);
      await writeFile(victim, content);
      await writeFile(`${victim}-more`, bytesOf(888_000, content.length));
      t.ok(await sent(), `seed ${seed}: ${victim}-more inserted`);
    }
  },
);

t.test("an error names each file that changes while it is published", async (t) => {
  const directory = await temporaryDirectory(t);
  const small = join(directory, "small");
  const large = join(directory, "large");
  await writeTree(directory, { small: bytesOf(1, 1000), large: bytesOf(2, 2 * MiB) });
  const { chunks } = await chunked(directory);
  const outcomes = async () => {
    const results = await Promise.allSettled(chunks.map((chunk) => chunk.read()));
    return results.map((result) => (result.status === "rejected" ? String(result.reason) : "read"));
  };
  t.same(
    await outcomes(),
    ["read", "read", "read", "read"],
    "every chunk can be read: two of large, one of small, the manifest",
  );

  await writeFile(small, bytesOf(3, 1000));
  const named = (what: string) =>
    `UserError: a file changed while it was being published (${what}): publish again`;
  t.equal((await outcomes())[2], named("small: it was written to, or its owner, mode or links changed"));
  await truncate(large, 2 * MiB - 1);
  t.equal((await outcomes())[1], named("large: it had 2097152 bytes and has 2097151"));
  await rm(large);
  t.equal((await outcomes())[0], named("large: it is gone"));

  await t.test("between scan and hashing", async (t) => {
    const tree = await temporaryDirectory(t);
    const file = join(tree, "grows");
    await writeTree(tree, { grows: bytesOf(4, 1000), shrinks: bytesOf(5, 2 * MiB), vanishes: "x" });
    const { entries: scanned } = await scan(tree, EVERYTHING, new Problems());
    await appendFile(file, bytesOf(6, MiB));
    await truncate(join(tree, "shrinks"), 10);
    await rm(join(tree, "vanishes"));
    const problems = new Problems();
    const made = await chunkTree(scanned, problems, () => {});
    for (const entry of made.manifest.entries as readonly FileEntry[]) {
      // Each published file is a file as it was at one time, never a part of one.
      t.ok((await readFile(join(tree, entry.path))).equals(await reassembled(made, entry)), entry.path);
    }
    t.same(problems.found, [
      `grows: it had 1000 bytes and has ${MiB + 1000}`,
      `shrinks: it had ${2 * MiB} bytes and has 10`,
      "vanishes: it is gone",
    ]);
  });

  await t.test("a chunk is hashed again before it is sent, even if stat shows no change", async (t) => {
    const tree = await temporaryDirectory(t);
    await writeTree(tree, { file: bytesOf(7, 1000) });
    const { entries } = await scan(tree, EVERYTHING, new Problems());
    const made = await chunkTree(entries, new Problems(), () => {});
    await writeFile(join(tree, "file"), bytesOf(8, 1000));
    const [entry] = entries;
    if (entry?.kind !== "file" || isMade(entry)) throw new Error("no file was scanned");
    Object.assign(entry.state, stateOf(await lstat(entry.source, { bigint: true })));
    await t.rejects(made.chunks[0]!.read(), {
      name: "UserError",
      message: "a file changed while it was being published (file): publish again",
    });
  });
});

t.test("progress counts every byte", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, Object.fromEntries(SIZES.map((size, i) => [`${i}`, bytesOf(i, size)])));
  let told = 0;
  const { bytes } = await chunked(directory, (bytes) => {
    told += bytes;
  });
  t.equal(told, bytes);
});

t.test("an empty tree has only a manifest", async (t) => {
  const directory = await temporaryDirectory(t);
  const tree = await chunked(directory);
  t.same(tree.manifest, { chunks: [], entries: [] });
  t.equal(tree.chunks.length, 1, "the only chunk is the manifest");
  t.equal(tree.bytes, 0);
});
