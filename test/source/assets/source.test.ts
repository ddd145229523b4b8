/** The standard asset canister as a source: what is certified, what is listed, and what is refused. */
import { createHash, randomBytes } from "node:crypto";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import t from "tap";
import { WrongContentError } from "../../../lib/source/source.ts";
import { startAssets } from "../../support/assets.ts";
import { type FaultProxy, startFaultProxy } from "../../support/fault-proxy.ts";
import { contentOf, fileAt, filesIn, piecesInMemory, sourceOf } from "../../support/sources.ts";

const MiB = 1024 * 1024;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

t.test("a canister in which nothing was ever stored has an empty, certified tree", async (t) => {
  const c = await startAssets(t);
  const { source } = await sourceOf(c);
  t.equal(source.kind, "assets");
  const release = await source.newest();
  t.equal(release.verified, "certified");
  t.same(filesIn(await source.tree(release)), []);
});

t.test("keys become paths, encodings are decoded, and impossible keys are left out", async (t) => {
  const c = await startAssets(t);
  const text = Buffer.from("some text\n");
  const large = randomBytes(3 * MiB + 5);
  await c.store("/index.html", text);
  await c.store("/sub/index.html", text);
  await c.store("/page.html", text);
  await c.store("/dir/", Buffer.from("the directory's"));
  await c.store("bare", text);
  await c.store("/a", text);
  await c.store("/a/b", text);
  await c.store("/../up", text);
  await c.store("/both", gzipSync(Buffer.from("gzip's")), { encoding: "gzip" });
  await c.store("/both", text);
  await c.store("/gzip", gzipSync(large), { encoding: "gzip" });
  await c.store("/deflate", deflateSync(text), { encoding: "deflate" });
  await c.store("/br", brotliCompressSync(text), { encoding: "br" });
  await c.store("/compress", text, { encoding: "compress" });
  await c.store("/no-gzip", text, { encoding: "gzip" });
  await c.create("/nothing-yet");
  await c.store("/gone", text);
  await c.remove("/gone");
  const { source, logged } = await sourceOf(c);
  const tree = await source.tree(await source.newest());
  t.same(filesIn(tree), [
    "a",
    "bare",
    "both",
    "br",
    "deflate",
    "dir/index.html",
    "gzip",
    "index.html",
    "page.html",
    "sub/index.html",
  ]);
  for (const path of ["bare", "both", "br", "deflate"]) {
    t.ok((await contentOf(source, tree, path)).equals(text), path);
    t.equal(fileAt(tree, path).size, text.length, path);
    t.same(fileAt(tree, path).sha256, sha256(text), path);
  }
  t.ok((await contentOf(source, tree, "gzip")).equals(large));
  t.equal(String(await contentOf(source, tree, "dir/index.html")), "the directory's");
  const leftOut = logged.filter((line) => line.includes("left out"));
  for (const said of [
    '"a/b": a is a file',
    '"../up"',
    "cannot decode compress",
    '"/no-gzip": it is not gzip',
  ]) {
    t.ok(
      leftOut.some((line) => line.includes(said)),
      said,
    );
  }
  t.equal(leftOut.length, 4);
});

t.test("a file in pieces of any size is read, and handed over only when all of it verifies", async (t) => {
  const c = await startAssets(t);
  const large = randomBytes(4 * MiB + 11);
  await c.store("/uneven", large, { chunkBytes: [1, 1_500_000, 7, 900_000, 1_200_000] });
  await c.store("/even", large, { chunkBytes: 300_000 });
  await c.store("/wrong", large);
  await c.store("/long", large);
  await c.corrupt("/wrong", 2);
  const { source } = await sourceOf(c);
  const tree = await source.tree(await source.newest());
  for (const path of ["uneven", "even"]) t.ok((await contentOf(source, tree, path)).equals(large), path);
  const first = tree.chunks[fileAt(tree, "wrong").extents[0]!.chunk]!;
  await t.rejects(source.chunk(first), { name: "VerificationError", message: /SHA-256/ });
  t.equal(tree.known(first).sha256, undefined, "no chunk of a file that does not verify is accepted");
  await c.corrupt("/wrong", undefined);
  t.ok((await contentOf(source, tree, "wrong")).equals(large), "the file can be read once it is right again");
  await c.store("/always-wrong", large);
  await c.corrupt("/always-wrong", 1);
  const proxy = await startFaultProxy(t, c.url);
  const patient = (await sourceOf(c, {}, proxy.url)).source;
  const other = await patient.tree(await patient.newest());
  for (let i = 0; i < 2; i++)
    await t.rejects(contentOf(patient, other, "always-wrong"), { message: /SHA-256/ });
  const queries = proxy.queries;
  const error = await contentOf(patient, other, "always-wrong").catch((error: unknown) => error);
  t.type(error, WrongContentError);
  t.equal(proxy.queries, queries, "a file known to be wrong is not fetched again");

  for (const length of [large.length - 1, large.length + 1]) {
    await c.claimLength("/long", length);
    const lying = (await sourceOf(c)).source;
    const lied = await lying.tree(await lying.newest());
    await t.rejects(contentOf(lying, lied, "long"), { name: "VerificationError" }, `${length} bytes`);
  }
});

t.test("a file that has been read once is fetched again chunk by chunk, each checked", async (t) => {
  const c = await startAssets(t);
  const large = randomBytes(40 * MiB);
  await c.store("/large", large, { sha256: sha256(large) });
  const proxy = await startFaultProxy(t, c.url);
  const { source } = await sourceOf(c, {}, proxy.url);
  const tree = await source.tree(await source.newest());
  t.ok((await contentOf(source, tree, "large")).equals(large));
  const { extents } = fileAt(tree, "large");
  const chunk = tree.chunks[extents[1]!.chunk]!;
  const before = proxy.queries;
  t.ok((await source.chunk(chunk)).bytes.equals(large.subarray(MiB, 2 * MiB)));
  t.ok(proxy.queries - before <= 2, "only the pieces that contain the chunk are fetched");
  // The first byte of piece 11 lies in chunk 19.
  await c.corrupt("/large", 11);
  const damaged = tree.chunks[extents[19]!.chunk]!;
  await t.rejects(source.chunk(damaged), { name: "VerificationError" });
  await c.corrupt("/large", undefined);
  t.ok(
    (await source.chunk(damaged)).bytes.equals(large.subarray(19 * MiB, 20 * MiB)),
    "the damaged chunk was not kept",
  );
});

t.test("when an asset is replaced, the old one is no longer available, and the new one is", async (t) => {
  const c = await startAssets(t);
  await c.store("/file", Buffer.alloc(2_500_000, 1));
  const { source } = await sourceOf(c);
  const first = await source.newest();
  const tree = await source.tree(first);
  await c.store("/file", Buffer.alloc(2_500_000, 2));
  await t.rejects(contentOf(source, tree, "file"), { message: /has changed on the canister|SHA-256/ });
  const second = await source.newest();
  t.notOk(second.hash.equals(first.hash));
  t.ok((await contentOf(source, await source.tree(second), "file")).equals(Buffer.alloc(2_500_000, 2)));
});

t.test("lists are read in pages of a hundred, and from older canisters all at once", async (t) => {
  const c = await startAssets(t);
  const count = 1234;
  await c.storeAll(Array.from({ length: count }, (_, i) => [`/many/${i}`, Buffer.from(String(i))] as const));
  for (const all of [false, true]) {
    await c.listAll(all);
    const { source } = await sourceOf(c);
    const tree = await source.tree(await source.newest());
    t.equal(filesIn(tree).length, count, all ? "all at once" : "pages");
    t.equal(String(await contentOf(source, tree, "many/1000")), "1000");
  }
});

t.test("a list whose tree does not fit a reply is read through consensus", async (t) => {
  const c = await startAssets(t);
  await c.store("/file", Buffer.from("content"));
  await c.padTree(3 * MiB + 1000);
  const proxy = await startFaultProxy(t, c.url);
  const { source, logged } = await sourceOf(c, {}, proxy.url);
  const release = await source.newest();
  t.equal(release.verified, "replicated");
  t.ok(proxy.calls > 0, `${proxy.calls} update calls`);
  t.match(logged.join("\n"), /read through consensus/);
  t.equal(String(await contentOf(source, await source.tree(release), "file")), "content");
  const calls = proxy.calls;
  t.ok((await source.newest()).hash.equals(release.hash));
  t.equal(proxy.calls, calls, "consensus is not used again while a node says that nothing has changed");
  await c.store("/other", Buffer.from("more"));
  t.same(filesIn(await source.tree(await source.newest())), ["file", "other"]);
  t.ok(proxy.calls > calls);
});

t.test(
  "a canister that certifies nothing of its assets is refused, unless read through consensus",
  async (t) => {
    const c = await startAssets(t);
    await c.store("/file", Buffer.from("content"));
    await c.withoutHttpAssets(true);
    const { source } = await sourceOf(c);
    await t.rejects(source.newest(), { name: "VerificationError", message: /--trust replicated/ });
    const replicated = (await sourceOf(c, { trust: "replicated" })).source;
    const tree = await replicated.tree(await replicated.newest());
    t.equal(String(await contentOf(replicated, tree, "file")), "content");
  },
);

t.test("a gateway's altered answers are refused", async (t) => {
  const c = await startAssets(t);
  await c.store("/file", Buffer.from("content"));
  const proxy = await startFaultProxy(t, c.url);
  proxy.fault = ((path) => (path.endsWith("/query") ? "flip" : "none")) as FaultProxy["fault"];
  const { source } = await sourceOf(c, { kind: "assets" }, proxy.url);
  for (let i = 0; i < 20; i++) await t.rejects(source.newest());
});

t.test("kept releases and files are verified again, and decoded files are not decoded again", async (t) => {
  const c = await startAssets(t);
  const large = randomBytes(2 * MiB + 5);
  await c.store("/plain", large);
  await c.store("/gzip", gzipSync(large), { encoding: "gzip" });
  const pieces = piecesInMemory();
  const { source } = await sourceOf(c);
  const release = await source.newest();
  const tree = await source.tree(release, pieces);
  await contentOf(source, tree, "plain");
  const evidence = (await source.evidence(release))!;
  const open = async () => (await sourceOf(c, { kind: "assets", offline: true })).source;

  const offline = await open();
  const restored = await offline.restore(evidence);
  t.ok(restored.hash.equals(release.hash));
  const again = await offline.tree(restored, pieces);
  for (const path of ["plain", "gzip"]) t.ok((await contentOf(offline, again, path)).equals(large), path);

  const [key, bytes] = [...pieces.held].find(([, { length }]) => length === 5)!;
  pieces.held.set(key, Buffer.from("other"));
  const damaged = await open();
  const tree2 = await damaged.tree(await damaged.restore(evidence), pieces);
  await t.rejects(contentOf(damaged, tree2, "plain"), { message: /--offline asks nobody/ });
  pieces.held.set(key, bytes);
  const elsewhere = await sourceOf(
    { ...c, canister: c.canister, rootKey: otherKey(c.rootKey) },
    { kind: "assets", offline: true },
  );
  await t.rejects(elsewhere.source.restore(evidence), { name: "VerificationError" });
  evidence[evidence.length - 3]! ^= 1;
  await t.rejects(
    open().then((source) => source.restore(evidence)),
    { message: /damaged/ },
  );
});

function otherKey(key: Uint8Array): Uint8Array {
  const other = Uint8Array.from(key);
  other[other.length - 1]! ^= 1;
  return other;
}

t.test("a wrong length from one node is noticed", async (t) => {
  const c = await startAssets(t);
  await c.store("/default", Buffer.from("kernel good\n"));
  await c.store("/empty", Buffer.alloc(0));
  const { source, logged } = await sourceOf(c);
  await c.claimLength("/default", 0);
  const lied = await source.newest();
  t.same(
    filesIn(await source.tree(lied)),
    ["empty"],
    "a file whose length is wrongly given as 0 is left out",
  );
  t.ok(logged.some((line) => line.includes('"/default"')));
  await c.claimLength("/default", 3);
  const short = await source.tree(await source.newest());
  await t.rejects(contentOf(source, short, "default"), { name: "VerificationError" });
  await c.claimLength("/default", undefined);
  const right = await source.newest();
  t.notOk(right.hash.equals(lied.hash));
  t.equal(String(await contentOf(source, await source.tree(right), "default")), "kernel good\n");
});

t.test("content that moves to another key or into other pieces is still read", async (t) => {
  const c = await startAssets(t);
  const large = randomBytes(16 * MiB);
  const options = { sha256: sha256(large) };
  await c.store("moved", large, options);
  const { source } = await sourceOf(c);
  const first = await source.newest();
  const tree = await source.tree(first);
  t.ok((await contentOf(source, tree, "moved")).equals(large));
  const chunk = tree.chunks[fileAt(tree, "moved").extents[12]!.chunk]!;
  const part = large.subarray(12 * MiB, 13 * MiB);
  await c.store("moved", large, { ...options, chunkBytes: 700_000 });
  await t.rejects(source.chunk(chunk), "by the old pieces");
  t.ok((await source.chunk(chunk)).bytes.equals(part), "reading the whole file again finds the chunk");
  t.ok((await source.chunk(chunk)).bytes.equals(part), "the chunk is found by the new pieces");

  await c.remove("moved");
  await c.store("/moved", large, options);
  const second = await source.newest();
  t.notOk(second.hash.equals(first.hash));
  t.ok((await contentOf(source, await source.tree(second), "moved")).equals(large));
});
