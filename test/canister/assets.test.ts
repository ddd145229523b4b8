/**
 * The twin of the standard asset canister (test/support/assets.mo) does what the real one does. There is a test for each thing that
 * matters to a reader. ICFS_ASSETS_WASM=FILE runs the tests against the real one.
 */
import { createHash, randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { fromAgent } from "../../lib/ic/agent-error.ts";
import { CborReader } from "../../lib/ic/certificate/cbor-reader.ts";
import { verifyCertificate } from "../../lib/ic/certificate/certificate.ts";
import { type HashTree, lookupLeaf, readHashTree, rootHash } from "../../lib/ic/certificate/hash-tree.ts";
import { type AssetsCanister, startAssets } from "../support/assets.ts";

/** CBOR's tag "self-described CBOR", with which the tree begins. */
const SELF_DESCRIBED = Buffer.from("d9d9f7", "hex");

const sha256 = (content: Uint8Array | string) => createHash("sha256").update(content).digest();
const failure = (call: Promise<unknown>): Promise<string> =>
  call.then(
    (value) => `succeeded with ${JSON.stringify(value)}`,
    (error) => fromAgent(error).message,
  );
const page = ({ actor }: AssetsCanister, start?: bigint, length?: bigint) =>
  actor.list({ start: start === undefined ? [] : [start], length: length === undefined ? [] : [length] });
const keysOf = async (assets: AssetsCanister) => (await page(assets)).map(({ key }) => key);

/** The certified tree, verified up to the root key. */
async function certifiedTree({ actor, canister, rootKey }: AssetsCanister): Promise<HashTree> {
  const { certificate, tree } = await actor.certified_tree({});
  const cbor = Buffer.from(tree);
  if (!cbor.subarray(0, 3).equals(SELF_DESCRIBED)) throw new Error("the tree is not marked as CBOR");
  const decoded = readHashTree(new CborReader(cbor.subarray(3)));
  const { data } = await verifyCertificate(certificate, rootKey, canister);
  if (data.length > 0 && !rootHash(decoded).equals(data))
    throw new Error("the tree is not the certified one");
  if (data.length === 0 && decoded.kind !== "empty") throw new Error("the tree is not certified");
  return decoded;
}

/** The labels under `http_assets`, each with its leaf in hex, or "" where the label has none. */
async function certified(assets: AssetsCanister): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const walk = (tree: HashTree, path: string[]): void => {
    if (tree.kind === "fork") {
      walk(tree.left, path);
      walk(tree.right, path);
    } else if (tree.kind === "labelled" && (path.length > 0 || tree.label.toString() === "http_assets"))
      walk(tree.subtree, [...path, tree.label.toString()]);
    else if (path.length === 2) found[path[1]!] = tree.kind === "leaf" ? tree.value.toString("hex") : "";
  };
  walk(await certifiedTree(assets), []);
  return found;
}

const leaf = (content: string) => sha256(content).toString("hex");

async function isCertified(t: Test, assets: AssetsCanister, wanted: Record<string, string>, what: string) {
  t.strictSame(await certified(assets), wanted, what);
}

t.test("nothing is certified before the first asset", async (t) => {
  const assets = await startAssets(t);
  t.strictSame(await certifiedTree(assets), { kind: "empty" });
  t.strictSame(await page(assets), []);
});

t.test("certification of keys, also after deletion", async (t) => {
  const assets = await startAssets(t);
  const { store, remove, unset, create, actor } = assets;
  const get = (key: string) => actor.get({ key, accept_encodings: ["identity"] });
  await store("/a", Buffer.from("A"));
  await store("b", Buffer.from("B"));
  t.strictSame(await keysOf(assets), ["/a", "b"]);
  await isCertified(
    t,
    assets,
    { "/a": leaf("A"), "/b": leaf("B") },
    "a key without a leading slash is certified with one",
  );
  await store("/b", Buffer.from("other"));
  await isCertified(
    t,
    assets,
    { "/a": leaf("A"), "/b": leaf("other") },
    "of two keys with the same label, the last one stored is certified",
  );
  await remove("/b");
  t.strictSame(await keysOf(assets), ["/a", "b"]);
  t.match(await failure(get("/b")), /asset not found/);
  await isCertified(t, assets, { "/a": leaf("A"), "/b": leaf("other") }, "a deleted asset stays certified");
  await unset("/a");
  t.strictSame(
    (await page(assets))[0]!.encodings,
    [],
    "an asset without content is listed without encodings",
  );
  t.match(await failure(get("/a")), /no such encoding/);
  await isCertified(
    t,
    assets,
    { "/a": "", "/b": leaf("other") },
    "an asset without content has a label without a leaf",
  );
  await create("/nothing");
  t.strictSame(await keysOf(assets), ["/a", "/nothing", "b"]);
  await isCertified(
    t,
    assets,
    { "/a": "", "/b": leaf("other") },
    "an asset that never had content is not certified",
  );
});

t.test("aliases", async (t) => {
  const assets = await startAssets(t);
  const { store, remove, actor } = assets;
  const get = async (key: string) =>
    Buffer.from((await actor.get({ key, accept_encodings: ["identity"] })).content).toString();
  await store("/index.html", Buffer.from("root"));
  await store("/dir/index.html", Buffer.from("index"));
  await store("/x.html", Buffer.from("page"));
  await store("/plain.html", Buffer.from("plain"), { aliased: false });
  const all = {
    "/": leaf("root"),
    "/dir": leaf("index"),
    "/dir/": leaf("index"),
    "/dir/index": leaf("index"),
    "/dir/index.html": leaf("index"),
    "/index": leaf("root"),
    "/index.html": leaf("root"),
    "/plain.html": leaf("plain"),
    "/x": leaf("page"),
    "/x.html": leaf("page"),
  };
  await isCertified(t, assets, all, "each alias is certified under its own label");
  t.strictSame(
    await keysOf(assets),
    ["/dir/index.html", "/index.html", "/plain.html", "/x.html"],
    "aliases are not listed",
  );
  t.strictSame(
    (await page(assets)).map(({ is_aliased }) => is_aliased),
    [[], [], [false], []],
  );
  t.strictSame(
    await Promise.all(["/", "/index", "/dir", "/dir/", "/dir/index", "/x"].map(get)),
    ["root", "root", "index", "index", "index", "page"],
    "get follows aliases",
  );
  for (const key of ["/plain", "/dir/index/", "/x/"])
    t.match(await failure(get(key)), /asset not found/, `${key} is not an alias`);
  await store("/x", Buffer.from("own"));
  await isCertified(
    t,
    assets,
    { ...all, "/x": leaf("own") },
    "an asset takes precedence over an alias of the same name",
  );
  await remove("/x");
  await isCertified(t, assets, all, "the alias is certified again when that asset is deleted");
  await remove("/dir/index.html");
  await isCertified(
    t,
    assets,
    { ...all, "/dir": "", "/dir/": "", "/dir/index": "" },
    "the aliases of a deleted asset lose their leaves",
  );
});

t.test("encodings", async (t) => {
  const assets = await startAssets(t);
  const { store, unset, actor } = assets;
  for (const encoding of ["zstd", "br", "deflate", "compress", "gzip", "identity"]) {
    await store("/a", Buffer.from(encoding), { encoding });
    await isCertified(t, assets, { "/a": leaf(encoding) }, `${encoding} is certified before those so far`);
  }
  const [details] = await page(assets);
  t.strictSame(
    details!.encodings.map(({ content_encoding, sha256: [hash], length }) => [
      content_encoding,
      Buffer.from(hash!).toString("hex"),
      Number(length),
    ]),
    ["br", "compress", "deflate", "gzip", "identity", "zstd"].map((name) => [name, leaf(name), name.length]),
    "all encodings are listed, sorted by name",
  );
  await unset("/a");
  await isCertified(
    t,
    assets,
    { "/a": leaf("gzip") },
    "the next encoding is certified when the first is removed",
  );
  const get = async (...accept_encodings: string[]) =>
    (await actor.get({ key: "/a", accept_encodings })).content_encoding;
  t.equal(await get("gzip", "br"), "gzip");
  t.equal(await get("identity", "br", "gzip"), "br", "get returns the first accepted encoding that exists");
  for (const wanted of [[], ["identity"], ["*"]]) t.match(await failure(get(...wanted)), /no such encoding/);
});

t.test("chunks", async (t) => {
  const assets = await startAssets(t);
  const { store, actor } = assets;
  const content = randomBytes(2_500_000);
  await store("/large", content, { sha256: sha256(content) });
  const chunk = (key: string, index: bigint, hash?: Uint8Array, content_encoding = "identity") =>
    actor.get_chunk({ key, content_encoding, index, sha256: hash === undefined ? [] : [hash] });
  const first = await actor.get({ key: "/large", accept_encodings: ["identity"] });
  t.equal(first.total_length, 2_500_000n);
  t.equal(first.content.length, 1_900_000);
  t.ok(sha256(content).equals(first.sha256[0]!));
  const parts = [first.content, (await chunk("/large", 1n, sha256(content))).content];
  t.ok(Buffer.concat(parts).equals(content), "get returns the first chunk, and get_chunk the others");
  t.ok(
    Buffer.from(first.content).equals((await chunk("/large", 0n, sha256(content))).content),
    "get_chunk returns the first chunk as well",
  );
  for (const index of [2n, 10n ** 30n])
    t.match(await failure(chunk("/large", index, sha256(content))), /chunk index out of bounds/);
  t.match(await failure(chunk("/large", 9n)), /sha256 required/);
  t.match(await failure(chunk("/large", 9n, sha256("x"))), /sha256 mismatch/);
  t.match(await failure(chunk("/large", 9n, undefined, "gzip")), /no such encoding/);
  t.match(await failure(chunk("/absent", 9n, undefined, "gzip")), /asset not found/);

  const odd = content.subarray(0, 10_000);
  await store("/odd", odd, { chunkBytes: [1, 7000, 5] });
  const lengths = await Promise.all(
    [0n, 1n, 2n, 3n].map(async (i) => (await chunk("/odd", i, sha256(odd))).content.length),
  );
  t.strictSame(lengths, [1, 7000, 5, 2994], "chunks have the sizes that the uploader chose");

  await store("/empty", Buffer.alloc(0));
  const empty = await actor.get({ key: "/empty", accept_encodings: ["identity"] });
  t.strictSame(
    [empty.content.length, empty.total_length],
    [0, 0n],
    "get returns one empty chunk for empty content",
  );
  t.equal((await chunk("/empty", 0n, sha256(""))).content.length, 0);
});

t.test("uploads that are refused", async (t) => {
  const { store, create, unset, actor } = await startAssets(t);
  t.match(await failure(store("/a", Buffer.from("a"), { sha256: sha256("b") })), /sha256 mismatch/);
  await create("/b");
  const operations = (operation: object) =>
    actor.commit_batch({ batch_id: 0n, operations: [operation as never] });
  const creation = { content_type: "", max_age: [], headers: [], enable_aliasing: [], allow_raw_access: [] };
  t.match(await failure(operations({ CreateAsset: { key: "/b", ...creation } })), /asset already exists/);
  const content = { content_encoding: "identity", chunk_ids: [], last_chunk: [Buffer.from("c")], sha256: [] };
  t.match(await failure(operations({ SetAssetContent: { key: "/c", ...content } })), /asset not found/);
  t.match(
    await failure(operations({ SetAssetContent: { key: "/b", ...content, last_chunk: [] } })),
    /encoding must have at least one chunk/,
  );
  t.match(await failure(unset("/c")), /asset not found/);
});

t.test("a thousand assets", async (t) => {
  const assets = await startAssets(t);
  const keys = Array.from(
    { length: 1000 },
    (_, i) => `/directory-${i % 7}/file-${String(i).padStart(4, "0")}`,
  );
  await assets.storeAll(keys.map((key) => [key, Buffer.from(key)] as const));
  const wanted = Object.fromEntries(keys.map((key) => [key, leaf(key)]));
  const found = await certified(assets);
  t.strictSame(found, wanted, "all assets are certified");
  t.strictSame(Object.keys(found), [...keys].sort(), "the certified labels are in the order of the keys");
  const tree = await certifiedTree(assets);
  t.ok(lookupLeaf(tree, ["http_assets", keys[77]!])?.equals(sha256(keys[77]!)), "and found");

  const pages: string[][] = [];
  do pages.push((await page(assets, BigInt(pages.flat().length))).map(({ key }) => key));
  while (pages.at(-1)!.length > 0);
  t.strictSame(pages.flat(), [...keys].sort(), "the pages list all assets in the order of their keys");
  t.strictSame(
    pages.map(({ length }) => length),
    [...Array(10).fill(100), 0],
    "a page lists a hundred assets",
  );
  const sizes = async (start?: bigint, length?: bigint) => (await page(assets, start, length)).length;
  t.strictSame(
    [
      await sizes(0n, 3n),
      await sizes(998n, 3n),
      await sizes(5n, 0n),
      await sizes(0n, 1000n),
      await sizes(5000n),
    ],
    [3, 2, 0, 100, 0],
    "a page is shorter when fewer assets are requested or left",
  );
  for (const huge of [2n ** 32n, 2n ** 64n, 10n ** 30n]) {
    t.strictSame(
      (await page(assets, huge)).map(({ key }) => key),
      pages[0],
      `a start of ${huge} lists from the beginning`,
    );
    t.equal(await sizes(0n, huge), 100);
  }
});
