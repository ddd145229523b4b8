/** The twin of the standard asset canister (test/support/assets.mo) has switches that make it old, full or a liar. */
import { createHash } from "node:crypto";
import t from "tap";
import { fromAgent } from "../../lib/ic/agent-error.ts";
import { CborReader } from "../../lib/ic/certificate/cbor-reader.ts";
import { lookupLeaf, readHashTree } from "../../lib/ic/certificate/hash-tree.ts";
import { startAssets } from "../support/assets.ts";

const assets = await startAssets(t);
const { store, storeAll, actor } = assets;
const sha256 = (content: Uint8Array) => createHash("sha256").update(content).digest();
const content = Buffer.from("0123456789");
const hash = sha256(content);
await store("/a", content, { chunkBytes: 4 });
await store("/b", Buffer.from("b"));
await storeAll(Array.from({ length: 150 }, (_, i) => [`/many/${i}`, Buffer.from(`${i}`)] as const));

const listed = async (start: bigint) =>
  (await actor.list({ start: [start], length: [] })).map(({ key }) => key);
const chunk = async (index: bigint) =>
  Buffer.from(
    (await actor.get_chunk({ key: "/a", content_encoding: "identity", index, sha256: [hash] })).content,
  ).toString();
const first = () => actor.get({ key: "/a", accept_encodings: ["identity"] });
const tree = async () =>
  readHashTree(new CborReader(Buffer.from((await actor.certified_tree({})).tree).subarray(3)));

t.test("the twin can list everything at once, whatever page it is asked for", async (t) => {
  await assets.listAll(true);
  const keys = await listed(0n);
  t.equal(keys.length, 152);
  t.notSame(keys, [...keys].sort(), "in no order");
  t.strictSame(await listed(100n), keys);
  await assets.listAll(false);
  t.equal((await listed(100n)).length, 52, "or not");
});

t.test("the twin can leave an asset out of its listing", async (t) => {
  await assets.hide("/a");
  t.equal((await listed(0n))[0], "/b");
  t.equal(Buffer.from((await first()).content).toString(), "0123", "the hidden asset is still served");
  t.ok(lookupLeaf(await tree(), ["http_assets", "/a"])?.equals(hash), "the hidden asset is still certified");
  await assets.hide("/a", false);
  t.equal((await listed(0n))[0], "/a", "or not");
});

t.test("the twin can serve a wrong chunk", async (t) => {
  await assets.corrupt("/a", 1);
  t.strictSame([await chunk(0n), await chunk(1n), await chunk(2n)], ["0123", "5567", "89"]);
  await assets.corrupt("/a", 0);
  t.equal(Buffer.from((await first()).content).toString(), "1123", "the first chunk can be wrong");
  await assets.corrupt("/a", undefined);
  t.strictSame([await chunk(0n), await chunk(1n), await chunk(2n)], ["0123", "4567", "89"], "or not");
});

t.test("the twin can claim a wrong length", async (t) => {
  const lengths = async () => [
    (await first()).total_length,
    (await actor.list({ start: [], length: [1n] }))[0]!.encodings[0]!.length,
  ];
  await assets.claimLength("/a", 10 ** 12);
  t.strictSame(await lengths(), [10n ** 12n, 10n ** 12n]);
  await assets.claimLength("/a", undefined);
  t.strictSame(await lengths(), [10n, 10n], "or not");
});

t.test("the twin can have a certified tree that is too large for a reply", async (t) => {
  await assets.padTree(3 * 1024 * 1024);
  t.match(await tree().catch((error) => fromAgent(error).message), /reply|payload|size|large/i);
  await assets.padTree(2 * 1024 * 1024);
  t.ok(lookupLeaf(await tree(), ["http_assets", "/a"])?.equals(hash), "or nearly");
  await assets.padTree(0);
  t.ok(lookupLeaf(await tree(), ["http_assets", "/a"])?.equals(hash), "or not");
});

t.test("the twin can have a certified tree without content", async (t) => {
  await assets.withoutHttpAssets(true);
  t.match(await tree(), { kind: "labelled", label: Buffer.from("http_expr") });
  await assets.withoutHttpAssets(false);
  t.ok(lookupLeaf(await tree(), ["http_assets", "/a"])?.equals(hash), "or not");
});

t.test("the twin believes the uploader's hash of large content", async (t) => {
  const large = Buffer.alloc(2_200_000);
  const wrong = sha256(Buffer.from("something else"));
  await store("/large", large, { sha256: wrong });
  t.ok(lookupLeaf(await tree(), ["http_assets", "/large"])?.equals(wrong));
});
