import { IDL } from "@icp-sdk/core/candid";
import fc from "fast-check";
import t from "tap";
import { FormatError } from "../../lib/errors.ts";
import { type Entry, MANIFEST_PREFIX, type Manifest } from "../../lib/tree/manifest.ts";
import { decodeManifest, decodingManifest } from "../../lib/tree/manifest-decoder.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { brokenManifests, file, HASH, manifestOf } from "../support/manifests.ts";

const TYPE = IDL.Record({
  chunks: IDL.Vec(IDL.Record({ sha256: IDL.Vec(IDL.Nat8), size: IDL.Nat32 })),
  entries: IDL.Vec(
    IDL.Record({
      path: IDL.Text,
      modified: IDL.Nat64,
      kind: IDL.Variant({
        directory: IDL.Null,
        symlink: IDL.Text,
        file: IDL.Record({
          size: IDL.Nat64,
          sha256: IDL.Vec(IDL.Nat8),
          executable: IDL.Bool,
          extents: IDL.Vec(IDL.Record({ back: IDL.Nat32, offset: IDL.Nat32, length: IDL.Nat32 })),
        }),
      }),
    }),
  ),
});

const bytesOf = (manifest: Manifest) => Buffer.concat(encodeManifest(manifest));

// Directories d0, d1, ..., each with files, some of which share chunks with earlier ones.
const manifests = fc
  .array(
    fc.record({
      files: fc.array(
        fc.record({
          chunks: fc.array(fc.nat({ max: 5 }), { maxLength: 4 }),
          length: fc.integer({ min: 1, max: 1000 }),
          executable: fc.boolean(),
          modified: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        }),
        { maxLength: 5 },
      ),
    }),
    { maxLength: 6 },
  )
  .map((directories) => {
    const entries: Entry[] = [];
    let named = 0;
    for (const [i, { files }] of directories.entries()) {
      entries.push({ kind: "directory", path: `d${i}`, modified: BigInt(i) });
      for (const [j, { chunks, length, executable, modified }] of files.entries()) {
        const extents = chunks.map((back) => {
          const chunk = back >= named ? named : named - 1 - back;
          if (chunk === named) named += 1;
          return { chunk, offset: back, length };
        });
        const path = `d${i}/f${j}-ü`;
        entries.push({ ...file(path, extents, chunks.length * length), executable, modified });
      }
    }
    const table = Array.from({ length: named }, (_, i) => ({ sha256: Buffer.alloc(32, i), size: 1005 }));
    return { chunks: table, entries };
  });

t.test("decoding an encoded manifest gives the same manifest", async (t) => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      t.strictSame(decodeManifest(bytesOf(manifest)), manifest);
    }),
    { numRuns: 200 },
  );
});

t.test("the encoding is Candid of the declared type", async (t) => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const bytes = bytesOf(manifest);
      const candid = Uint8Array.from(bytes.subarray(8));
      const [decoded] = IDL.decode([TYPE], candid);
      t.equal((decoded as unknown as Manifest).entries.length, manifest.entries.length);
      t.strictSame(Buffer.from(IDL.encode([TYPE], [decoded])), bytes.subarray(8));
    }),
    { numRuns: 100 },
  );
});

t.test("a chunk added in front changes only the bytes next to it", async (t) => {
  const entries = Array.from({ length: 100 }, (_, i) =>
    file(`f${String(i).padStart(3, "0")}`, [{ chunk: i, offset: 0, length: 10 }], 10),
  );
  const chunks = entries.map((_, i) => ({ sha256: Buffer.alloc(32, i), size: 10 }));
  const before = encodeManifest({ chunks, entries });
  const added = file("e", [{ chunk: 0, offset: 0, length: 10 }], 10);
  const later = entries.map((entry) => ({
    ...entry,
    extents: entry.extents.map((extent) => ({ ...extent, chunk: extent.chunk + 1 })),
  }));
  const after = encodeManifest({
    chunks: [{ sha256: HASH, size: 10 }, ...chunks],
    entries: [added, ...later],
  });
  // The entries' pieces come after the prefix, and the table's pieces after its length.
  t.strictSame(after.slice(2, 102), before.slice(1, 101));
  t.strictSame(after.slice(-100), before.slice(-100));
});

t.test("a manifest that breaks a rule is refused, and the error names the rule", async (t) => {
  for (const { name, manifest, message } of brokenManifests()) {
    t.throws(() => decodeManifest(bytesOf(manifest)), { name: "FormatError", message }, name);
  }
});

t.test("bytes that are not a manifest are refused", async (t) => {
  const good = bytesOf(manifestOf([file("a", [{ chunk: 0, offset: 0, length: 5 }], 5)]));
  decodeManifest(good);
  const cases: [string, Buffer][] = [
    ["nothing", Buffer.alloc(0)],
    ["another version", Buffer.concat([Buffer.from("ICFSMAN\x02", "latin1"), good.subarray(8)])],
    ["another type", Buffer.concat([MANIFEST_PREFIX.subarray(0, 20), Buffer.from([0]), good.subarray(21)])],
    ["an end too early", good.subarray(0, -1)],
    ["a byte too many", Buffer.concat([good, Buffer.from([0])])],
    ["a count that does not fit", Buffer.concat([MANIFEST_PREFIX, Buffer.from("ffffffff0f", "hex")])],
    ["a count over 32 bits", Buffer.concat([MANIFEST_PREFIX, Buffer.from("ffffffffffffff7f", "hex")])],
  ];
  for (const [name, bytes] of cases) t.throws(() => decodeManifest(bytes), FormatError, name);
});

t.test("names that are not UTF-8 are refused, since two could decode to the same name", async (t) => {
  const good = bytesOf(
    manifestOf([
      file("a~", [{ chunk: 0, offset: 0, length: 5 }], 5),
      { kind: "symlink", path: "l", modified: 2n, target: "a~" },
    ]),
  );
  const [path, target] = [good.indexOf("a~"), good.lastIndexOf("a~")];
  for (const at of [path, target]) {
    const bytes = Buffer.from(good);
    bytes[at + 1] = 0xff;
    t.throws(() => decodeManifest(bytes), { name: "FormatError", message: "a text is not UTF-8" });
  }
});

t.test("with any byte flipped, the decoder only refuses or decodes", async (t) => {
  const good = bytesOf(
    manifestOf([
      { kind: "directory", path: "d", modified: 1n },
      file("d/a", [{ chunk: 0, offset: 0, length: 5 }], 5),
      { kind: "symlink", path: "l", modified: 2n, target: "d/a" },
    ]),
  );
  let refused = 0;
  for (let at = 0; at < good.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const bytes = Buffer.from(good);
      bytes[at]! ^= flip;
      try {
        decodeManifest(bytes);
      } catch (error) {
        refused += 1;
        if (!(error instanceof FormatError)) t.fail(`byte ${at} ^ ${flip}: ${error}`);
      }
    }
  }
  t.ok(refused > 3 * MANIFEST_PREFIX.length, `${refused} refused`);
});

t.test("links made slow to follow are refused quickly", async (t) => {
  // Each link leads through the one before, and every component of "./" costs a step.
  const slow = "./".repeat(2040);
  const entries: Entry[] = [file("0", [{ chunk: 0, offset: 0, length: 5 }], 5)];
  for (let i = 0; i < 38; i++) {
    const target = i === 0 ? "0" : `${slow}l${String(i - 1).padStart(2, "0")}`;
    entries.push({ kind: "symlink", path: `l${String(i).padStart(2, "0")}`, modified: 0n, target });
  }
  for (let i = 0; i < 5000; i++) {
    entries.push({ kind: "symlink", path: `m${String(i).padStart(4, "0")}`, modified: 0n, target: "l37" });
  }
  t.throws(() => decodeManifest(bytesOf(manifestOf(entries))), { message: /too many steps to follow/ });
});

t.test("decoding goes in steps, even if one file has all the extents", async (t) => {
  const chunks = Array.from({ length: 40_000 }, () => ({ sha256: HASH, size: 1 }));
  const extents = chunks.map((_, chunk) => ({ chunk, offset: 0, length: 1 }));
  const whole: Entry = {
    kind: "file",
    path: "a",
    modified: 0n,
    size: chunks.length,
    sha256: HASH,
    executable: false,
    extents,
  };
  const bytes = bytesOf({ chunks, entries: [whole] });
  let turns = 0;
  for (const _ of decodingManifest(bytes)) turns += 1;
  t.ok(turns >= 40 + 2 * 10, `${turns} turns: one per thousand chunks, and two per 4,000 extents`);
});
