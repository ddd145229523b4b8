import { randomBytes } from "node:crypto";
import t from "tap";
import { messageOf } from "../../lib/errors.ts";
import { blobArgument, queryBlob } from "../../lib/ic/agent.ts";
import { decodeHeader, headerHash } from "../../lib/tree/header.ts";
import { MANIFEST_PREFIX } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { exactly } from "../support/exactly.ts";
import { ICFS_WASM, sha256, startIcfsCanister, treeOf } from "../support/icfs-canister.ts";
import { brokenManifests, CHUNK_SIZE, file, manifestOf } from "../support/manifests.ts";

const failure = (call: Promise<unknown>): Promise<string> =>
  call.then((value) => `succeeded with ${JSON.stringify(value)}`, messageOf);

t.test("chunks", async (t) => {
  const { owner, network, id } = await startIcfsCanister(t);
  const chunks = [randomBytes(1), randomBytes(1000), randomBytes(1024 * 1024)];
  const hashes = await owner.put(chunks);
  t.strictSame(hashes.map(Buffer.from), chunks.map(sha256), "chunks are named by their SHA-256");
  t.strictSame(
    (await owner.put([chunks[1]!])).map(Buffer.from),
    [sha256(chunks[1]!)],
    "a chunk can be put again",
  );
  for (const chunk of chunks) {
    const got = await queryBlob(network.agent, id, "chunk", blobArgument(sha256(chunk)));
    t.ok(Buffer.from(got).equals(chunk), `${chunk.length} bytes come back`);
  }
  const absent = sha256(randomBytes(8));
  t.equal(
    (await queryBlob(network.agent, id, "chunk", blobArgument(absent))).length,
    0,
    "an absent chunk is returned as empty",
  );
  t.strictSame(
    [...(await owner.missing([absent, hashes[0]!, absent]))],
    [0, 2],
    "missing returns the indexes of absent chunks",
  );
  t.match(await failure(owner.put([new Uint8Array()])), /a chunk is empty/);
  t.match(
    await failure(owner.put([randomBytes(1024 * 1024 + 1)])),
    /a chunk of 1_?048_?577 bytes is over the limit/,
  );
  const good = randomBytes(9);
  t.match(await failure(owner.put([good, new Uint8Array()])), /a chunk is empty/);
  t.strictSame([...(await owner.missing([sha256(good)]))], [0], "a put that traps stores nothing");
  t.match(await failure(owner.missing(Array(10_001).fill(absent))), /at most 10_?000 chunks/);
});

t.test("releases", async (t) => {
  const { owner, source, publish, network, id } = await startIcfsCanister(t);
  t.equal(await source.head(), undefined, "the canister certifies that there is no release yet");

  const first = treeOf({ a: "first" });
  await owner.put(first.chunks);
  t.strictSame(await publish(first.manifest), { ok: 1n });
  const one = (await source.head())!;
  t.equal(one.header.number, 1);
  t.equal(one.header.parent, undefined);
  t.strictSame(one.header.publisher, Buffer.from(network.identity.getPrincipal().toUint8Array()));
  t.strictSame(one.header.totals, {
    files: 1,
    directories: 0,
    symlinks: 0,
    bytes: 5,
    chunks: 1,
    chunkBytes: 5,
  });
  t.strictSame(one.header.manifest.sha256, sha256(Buffer.concat(encodeManifest(first.manifest))));
  t.strictSame(await source.manifest(one.header), first.manifest);

  const second = treeOf({ a: "first", b: "second" });
  await owner.put(second.chunks);
  t.strictSame(await publish(second.manifest), { ok: 2n });
  const two = (await source.head())!;
  t.strictSame(two.header.parent, one.hash);
  t.ok(two.header.publishedAt >= one.header.publishedAt);

  const headers = await source.headers(2, 10);
  t.strictSame(
    headers.map((bytes) => decodeHeader(bytes).number),
    [2, 1],
    "headers are returned from the newest down",
  );
  t.strictSame(headers.map(headerHash), [two.hash, one.hash]);
  t.strictSame((await source.headers(1, 1)).map(headerHash), [one.hash]);
  t.strictSame(await source.headers(0, 5), []);
  t.strictSame((await source.headers(99, 1)).map(headerHash), [two.hash]);

  t.test("need the newest release as their parent", async (t) => {
    const manifest = [headers[0]!, ...second.chunks].map(sha256).slice(1, 2);
    for (const parent of [[], [one.hash], [sha256(Buffer.from("x"))]] as const) {
      const result = await owner.publish({ manifest, parent: [...parent] as [] | [Uint8Array], note: "" });
      t.match(result, { err: { conflict: { number: 2n, newest: exactly(Uint8Array.from(two.hash)) } } });
    }
    t.equal((await source.head())!.header.number, 2, "the newest release is unchanged");
  });

  t.test("remain after an upgrade, with all their chunks", async (t) => {
    await network.replace(id, "upgrade", ICFS_WASM);
    const head = (await source.head())!;
    t.strictSame(head.hash, two.hash);
    t.strictSame(await source.manifest(head.header), second.manifest);
    for (const [i, reference] of second.manifest.chunks.entries()) {
      t.ok((await source.chunk(reference)).equals(second.chunks[i]!));
    }
    const third = treeOf({ c: "third" });
    await owner.put(third.chunks);
    t.strictSame(await publish(third.manifest), { ok: 3n }, "the owner can publish after the upgrade");
    t.strictSame((await source.head())!.header.parent, two.hash);
  });
});

t.test("bad manifests are refused with the reason, and change nothing", async (t) => {
  const { owner, source, publish } = await startIcfsCanister(t);
  const chunk = Buffer.from("12345");
  t.equal(chunk.length, CHUNK_SIZE);
  const [hash] = await owner.put([chunk]);
  for (const { name, manifest, message } of brokenManifests(hash)) {
    t.strictSame(await publish(manifest), { err: { invalid: message } }, name);
  }
  const good = Buffer.concat(
    encodeManifest(manifestOf([file("a", [{ chunk: 0, offset: 0, length: 5 }], 5)], hash)),
  );
  const absent = sha256(Buffer.from("absent"));
  const withAbsent = { ...manifestOf([file("a", [{ chunk: 0, offset: 0, length: 5 }], 5)], absent) };
  t.strictSame(await publish(withAbsent), { err: { missing: [Uint8Array.from(absent)] } }, "a missing chunk");
  t.match(
    await publish({ ...withAbsent, chunks: [{ sha256: hash!, size: 4 }] }),
    { err: { invalid: "chunk 0 of the table has another size than stated" } },
    "a wrong size",
  );
  const shortHash = manifestOf(
    [{ ...file("a", [{ chunk: 0, offset: 0, length: 5 }], 5), sha256: Buffer.alloc(31) }],
    hash,
  );
  t.strictSame(await publish(shortHash), { err: { invalid: "a: the file's SHA-256 has not 32 bytes" } });
  t.match(await publish(Buffer.from("no manifest")), {
    err: { invalid: /this is not an icfs manifest of version 1/ },
  });
  const version2 = Buffer.concat([Buffer.from("ICFSMAN\x02", "latin1"), good.subarray(8)]);
  t.match(await publish(version2), { err: { invalid: /this is not an icfs manifest of version 1/ } });
  // The number of entries is one, in two bytes of LEB128 instead of one.
  const at = MANIFEST_PREFIX.length;
  const overlong = Buffer.concat([good.subarray(0, at), Buffer.of(0x81, 0x00), good.subarray(at + 1)]);
  t.match(await publish(overlong), { err: { invalid: "the manifest is not in Candid's shortest form" } });
  const longer = Buffer.concat([MANIFEST_PREFIX, Buffer.from("ffffffff0f", "hex")]);
  t.match(
    await failure(publish(longer)),
    /IDL error|Canister.*trapped/,
    "an undecodable manifest makes the call trap",
  );
  t.match(
    await failure(publish(good.subarray(0, -1))),
    /IDL error|Canister.*trapped/,
    "a truncated manifest makes the call trap",
  );
  t.equal(await source.head(), undefined, "there is still no release");
  t.strictSame(await publish(good), { ok: 1n }, "a good manifest is published");
});

t.test("manifest pieces", async (t) => {
  const { owner } = await startIcfsCanister(t);
  const absent = sha256(Buffer.from("absent"));
  t.strictSame(await owner.publish({ manifest: [absent], parent: [], note: "" }), {
    err: { missing: [Uint8Array.from(absent)] },
  });
  t.match(await owner.publish({ manifest: [], parent: [], note: "" }), {
    err: { invalid: /this is not an icfs manifest/ },
  });
  const [piece] = await owner.put([randomBytes(1024 * 1024)]);
  t.strictSame(await owner.publish({ manifest: Array(33).fill(piece), parent: [], note: "" }), {
    err: { invalid: "the manifest is larger than 32 MiB" },
  });
  t.strictSame(await owner.publish({ manifest: Array(1001).fill(piece), parent: [], note: "" }), {
    err: { invalid: "the manifest has more than 1000 pieces" },
  });
});

t.test("notes", async (t) => {
  const { owner, source, publish } = await startIcfsCanister(t);
  const { manifest, chunks } = treeOf({ a: "a" });
  await owner.put(chunks);
  const pieces = [(await owner.put([Buffer.concat(encodeManifest(manifest))]))[0]!];
  const tooLong = await owner.publish({ manifest: pieces, parent: [], note: "ü".repeat(513) });
  t.strictSame(tooLong, { err: { invalid: "the note is longer than 1024 bytes" } });
  t.strictSame(await owner.publish({ manifest: pieces, parent: [], note: "ü".repeat(512) }), { ok: 1n });
  t.equal((await source.head())!.header.note, "ü".repeat(512));
  t.strictSame(await publish(manifest), { ok: 2n });
});
