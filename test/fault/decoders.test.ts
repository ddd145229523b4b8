/** The decoders for data from canisters and gateways get 10,000 spoiled inputs each, and inputs that are made to hurt. */
import { Certificate } from "@icp-sdk/core/agent";
import t, { type Test } from "tap";
import { decodeBlob } from "../../lib/ic/agent.ts";
import { CborReader, checkCbor } from "../../lib/ic/certificate/cbor-reader.ts";
import { decodeHashTree, lookupLeaf, rootHash } from "../../lib/ic/certificate/hash-tree.ts";
import { decodeHeader } from "../../lib/tree/header.ts";
import type { Entry, Manifest } from "../../lib/tree/manifest.ts";
import { MANIFEST_PREFIX } from "../../lib/tree/manifest.ts";
import { decodeManifest } from "../../lib/tree/manifest-decoder.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { canisterId, certify, newBlsKey } from "../support/certificates.ts";
import { encodeHeader } from "../support/headers.ts";
import { file, HASH } from "../support/manifests.ts";
import { proofOf, sourceOfReply, witnessOf } from "../support/proofs.ts";
import { random } from "../support/random.ts";

const ROUNDS = 10_000;
const REFUSAL = /^(VerificationError|FormatError)$/;

/** Bytes of lengths, tags and counts at their limits. */
const NASTY = [
  "00",
  "01",
  "7f",
  "80",
  "ff",
  "ffffffff",
  "ffffffff0f",
  "80808080808001",
  "9a00ffffff",
  "5bffffffffffffffff",
];

/** A copy of the bytes with a few changes: bits flipped, or bytes replaced, removed, doubled, cut or moved. */
function spoiled(bytes: Uint8Array, next: (below: number) => number): Buffer<ArrayBuffer> {
  let result = Buffer.from(bytes);
  for (let changes = 1 + next(3); changes > 0; changes--) {
    const at = next(result.length + 1);
    const length = next(9);
    const before = result.subarray(0, at);
    const after = result.subarray(Math.min(result.length, at + length));
    switch (next(7)) {
      case 0:
        result = Buffer.from(before);
        break;
      case 1:
        result = Buffer.concat([before, after]);
        break;
      case 2:
        result = Buffer.concat([before, result.subarray(at, at + length), result.subarray(at)]);
        break;
      case 3:
        result = Buffer.concat([before, Buffer.from(NASTY[next(NASTY.length)]!, "hex"), after]);
        break;
      case 4: {
        const from = next(result.length + 1);
        result = Buffer.concat([before, result.subarray(from, from + length), after]);
        break;
      }
      default:
        if (at < result.length) result[at]! ^= 1 << next(8);
    }
  }
  return result;
}

/** Gives a decoder 10,000 spoiled inputs. It must refuse most of them, and throw nothing but refusals. */
function fuzz(t: Test, good: Uint8Array, decode: (bytes: Buffer) => unknown): void {
  const seed = 20_240_501;
  const next = random(seed);
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = spoiled(good, next);
    try {
      decode(bytes);
    } catch (error) {
      refused += 1;
      if (!(error instanceof Error && REFUSAL.test(error.name))) {
        t.fail(`round ${round}: ${error} for ${bytes.toString("hex")}`);
        break;
      }
    }
  }
  t.ok(refused > ROUNDS / 2, `${refused} of ${ROUNDS} refused`);
}

const directory = (path: string): Entry => ({ kind: "directory", path, modified: 1n });
const MANIFEST: Manifest = {
  chunks: [
    { sha256: HASH, size: 100 },
    { sha256: Buffer.alloc(32, 8), size: 1024 },
  ],
  entries: [
    directory("d"),
    directory("d/e"),
    file(
      "d/e/f",
      [
        { chunk: 0, offset: 5, length: 50 },
        { chunk: 1, offset: 0, length: 1024 },
      ],
      1074,
    ),
    { kind: "symlink", path: "d/l", modified: 2n, target: "e/../e/f" },
    { kind: "symlink", path: "m", modified: 2n, target: "d/e" },
    file("z-ü", [{ chunk: 0, offset: 0, length: 100 }], 100),
  ],
};

t.test("a manifest", async (t) => {
  const good = Buffer.concat(encodeManifest(MANIFEST));
  const behind = MANIFEST_PREFIX.length;
  fuzz(t, good.subarray(behind), (bytes) => {
    const manifest = decodeManifest(Buffer.concat([MANIFEST_PREFIX, bytes]));
    // An accepted manifest must be usable: every path can be found.
    const tree = Tree.of(manifest, 0n);
    for (const { kind, path } of manifest.entries) {
      if (tree.find(path) === undefined) throw new Error(`${kind} ${path} is not found`);
    }
    for (const { path, ...entry } of manifest.entries) {
      if (entry.kind !== "file") continue;
      for (const { chunk, offset, length } of entry.extents) {
        if (offset + length > manifest.chunks[chunk]!.size) throw new Error(`${path} runs past a chunk`);
      }
    }
  });
});

t.test("a header", async (t) => {
  const manifest = { sha256: HASH, size: 1000, chunks: [HASH, HASH] };
  const good = encodeHeader({ number: 7, parent: HASH, note: "a note, größer", manifest });
  fuzz(t, good, (bytes) => {
    const { number, publishedAt, manifest } = decodeHeader(bytes);
    if (number < 1 || Number.isNaN(publishedAt.getTime()) || manifest.chunks.length > 1000) {
      throw new Error("a header that nobody can use");
    }
  });
});

t.test("a witness", async (t) => {
  const good = witnessOf(encodeHeader({}));
  const expected = rootHash(decodeHashTree(good));
  fuzz(t, good, (bytes) => {
    const tree = decodeHashTree(bytes);
    const leaf = lookupLeaf(tree, ["icfs", "head"]);
    if (rootHash(tree).equals(expected) && leaf !== undefined && leaf.length !== 32)
      throw new Error("another leaf");
  });
});

t.test("a reply of one blob, and a reply of headers", async (t) => {
  fuzz(t, Buffer.concat([Buffer.from("4449444c016d7b01008002", "hex"), Buffer.alloc(256)]), decodeBlob);
  fuzz(t, Buffer.from("824401020304430a0b0c", "hex"), (bytes) => {
    const reader = new CborReader(bytes);
    for (let left = reader.array(); left > 0; left--) reader.bytes();
    reader.end();
  });
});

t.test("a certificate, up to its signature", async (t) => {
  const canister = canisterId(5);
  const root = newBlsKey();
  const good = certify({ canister, data: Buffer.alloc(32, 1), root });
  const next = random(7);
  let passed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = spoiled(good, next);
    try {
      checkCbor(bytes);
    } catch (error) {
      if ((error as Error).name !== "FormatError") t.fail(`${error} for ${bytes.toString("hex")}`);
      continue;
    }
    passed += 1;
    // The agent's own decoder must end, whatever it throws. Signatures are not tested here.
    await Certificate.create({
      certificate: Uint8Array.from(bytes),
      rootKey: root.publicKey,
      principal: { canisterId: canister },
      blsVerify: async () => true,
    }).catch(() => {});
  }
  t.comment(`${passed} of ${ROUNDS} are CBOR`);
  t.ok(passed > 100);
});

t.test("a whole proof", async (t) => {
  const canister = canisterId(5);
  const root = newBlsKey();
  const header = encodeHeader({ number: 1 });
  const witness = witnessOf(header);
  const certificate = certify({ canister, data: rootHash(decodeHashTree(witness)), root });
  const good = proofOf({ header, witness, certificate });
  const truth = await sourceOfReply(good, canister, root.publicKey).head();
  const next = random(3);
  let refused = 0;
  for (let round = 0; round < 300; round++) {
    const bytes = spoiled(good, next);
    try {
      const head = await sourceOfReply(bytes, canister, root.publicKey).head();
      t.strictSame(head, truth, "a spoiled proof that is accepted gives the true head");
    } catch (error) {
      refused += 1;
      if (!REFUSAL.test((error as Error).name)) t.fail(`${error} for ${bytes.toString("hex")}`);
    }
  }
  t.ok(refused > 150, `${refused} of 300 refused`);
});

t.test("limits", async (t) => {
  const refused = (manifest: Uint8Array, message: RegExp, name: string) =>
    t.throws(() => decodeManifest(manifest), { name: "FormatError", message }, name);
  const encoded = (entries: readonly Entry[], chunks = MANIFEST.chunks.slice(0, 1)) =>
    Buffer.concat(encodeManifest({ chunks, entries }));
  const many = (count: number) => [
    file("0", [{ chunk: 0, offset: 0, length: 1 }], 1),
    ...Array.from({ length: count - 1 }, (_, i) => directory(`d${String(i).padStart(6, "0")}`)),
  ];
  t.equal(decodeManifest(encoded(many(100_000))).entries.length, 100_000);
  refused(encoded(many(100_001)), /100001 entries, over the limit of 100000/, "100,001 entries");

  const extents = (count: number) =>
    Array.from({ length: count }, () => ({ chunk: 0, offset: 0, length: 1 }));
  t.equal(decodeManifest(encoded([file("a", extents(1_000_000), 1_000_000)])).entries.length, 1);
  refused(
    encoded([file("a", extents(600_000), 600_000), file("b", extents(400_001), 400_001)]),
    /more than 1000000 extents/,
    "1,000,001 extents",
  );

  const size = 32 * 1024 * 1024;
  refused(
    Buffer.concat([MANIFEST_PREFIX, Buffer.alloc(size + 1 - MANIFEST_PREFIX.length)]),
    /larger than 32 MiB/,
    "32 MiB + 1",
  );
  refused(
    Buffer.concat([MANIFEST_PREFIX, Buffer.alloc(size - MANIFEST_PREFIX.length)]),
    /bytes too many/,
    "32 MiB of zeros",
  );

  const deep = Array.from({ length: 2048 }, (_, i) =>
    directory(
      Array(i + 1)
        .fill("d")
        .join("/"),
    ),
  );
  const last = file("e", [{ chunk: 0, offset: 0, length: 1 }], 1);
  const tree = Tree.of(decodeManifest(encoded([...deep, last])), 0n);
  t.ok(tree.find(Array(2048).fill("d").join("/")), "a path of 2,048 directories and 4,095 bytes is found");
  refused(
    encoded([...deep, directory(Array(2049).fill("d").join("/")), last]),
    /longer than 4096 bytes/,
    "one more",
  );
});

t.test("symlinks that take too long to follow are refused", async (t) => {
  const names = Array.from({ length: 1000 }, (_, i) =>
    Array(i + 1)
      .fill("d")
      .join("/"),
  );
  const chunk = file("a", [{ chunk: 0, offset: 0, length: 1 }], 1);
  const links = (count: number, target: (i: number) => string): Entry[] =>
    Array.from({ length: count }, (_, i) => ({
      kind: "symlink",
      path: `l${String(i).padStart(5, "0")}`,
      modified: 0n,
      target: target(i),
    }));
  const decode = (entries: readonly Entry[]) =>
    decodeManifest(
      Buffer.concat(encodeManifest({ chunks: MANIFEST.chunks.slice(0, 1), entries: [chunk, ...entries] })),
    );
  const slow = { name: "FormatError", message: /the symlinks take too many steps to follow/ };
  // Following one link looks up a thousand paths, of a thousand characters on average.
  t.throws(
    () => decode([...names.map(directory), ...links(9000, () => names.at(-1)!)]),
    slow,
    "deep directories",
  );
  // Following one link goes through 39 links, each four thousand characters long.
  const detours = "/d/..".repeat(800);
  const chain = (i: number) => (i < 38 ? `l${String(i + 1).padStart(5, "0")}${detours}` : ".");
  t.throws(
    () => decode([directory("d"), ...links(30_000, (i) => (i < 39 ? chain(i) : "l00000"))]),
    slow,
    "detours",
  );
  // Following one link leads to another, whose target has four thousand slashes.
  t.throws(
    () => decode([directory("d"), ...links(90_000, (i) => (i === 0 ? `.${"/".repeat(4000)}` : "l00000"))]),
    slow,
    "slashes",
  );
  t.equal(
    decode([directory("d"), ...links(99_000, (i) => (i === 0 ? "." : "l00000/d/../l00000/d"))]).entries
      .length,
    99_002,
  );
});
