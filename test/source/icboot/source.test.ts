/** The original's canister as a source: what it lists, what it hides, and how it changes under its readers. */
import { randomBytes } from "node:crypto";
import { IDL } from "@icp-sdk/core/candid";
import t from "tap";
import { createLog } from "../../../lib/log.ts";
import { IcbootSource } from "../../../lib/source/icboot/source.ts";
import { type FaultProxy, startFaultProxy } from "../../support/fault-proxy.ts";
import { startIcboot } from "../../support/icboot.ts";
import { contentOf, fileAt, filesIn, sourceOf } from "../../support/sources.ts";

const MiB = 1024 * 1024;

const c = await startIcboot(t);
const before = new Set<string>();

/** The files that are new since the last call. */
async function newFiles(paths: readonly string[]): Promise<string[]> {
  const found = paths.filter((path) => !before.has(path));
  for (const path of found) before.add(path);
  return found;
}

t.test("an icboot canister is recognised, and impossible names are left out, each named once", async (t) => {
  const names = [
    "a",
    "a/b",
    "a/b/c",
    "d/e",
    "d",
    "/absolute",
    "up/../x",
    "./here",
    "x//y",
    "",
    "ctrl\u0001",
    "é",
    "x".repeat(256),
  ];
  for (const name of names) await c.put(name, Buffer.from(name));
  for (const length of [2 ** 53, 2 ** 60, 2 ** 900]) await c.setlen(`length ${length}`, length);
  const { source, logged } = await sourceOf(c);
  t.equal(source.kind, "icboot");
  for (let i = 0; i < 3; i++) {
    const tree = await source.tree(await source.newest());
    t.same(filesIn(tree), ["a", "d", "é"], "a file is kept, and names below it are left out");
    t.equal(String(await contentOf(source, tree, "é")), "é");
    if (i === 0) await newFiles(filesIn(tree));
  }
  const leftOut = logged.filter((line) => line.includes("left out"));
  t.equal(leftOut.length, names.length - 3 + 3);
  t.equal(
    leftOut.filter((line) => line.includes("more than 100 GiB")).length,
    3,
    "files of impossible lengths are left out",
  );
  t.equal(new Set(leftOut).size, leftOut.length);
  t.ok(leftOut.some((line) => line.includes('"a/b": a is a file')));
  t.ok(leftOut.some((line) => line.includes('"d/e": d is a file')));
});

t.test("sectors that were never written are zeros, and a file has the length that was set", async (t) => {
  await c.rawPut("sparse", 2 * MiB, Buffer.from("here"));
  await c.setlen("sparse", 3 * MiB + 7);
  await c.setlen("only-length", 600);
  await c.rawPut("no-length", 0, Buffer.from("nobody knows how long"));
  await c.put("empty", Buffer.alloc(0));
  const { source } = await sourceOf(c);
  const tree = await source.tree(await source.newest());
  t.same(await newFiles(filesIn(tree)), ["empty", "only-length", "sparse"]);
  const expected = Buffer.alloc(3 * MiB + 7);
  expected.write("here", 2 * MiB);
  t.ok((await contentOf(source, tree, "sparse")).equals(expected));
  t.ok((await contentOf(source, tree, "only-length")).equals(Buffer.alloc(600)));
  t.equal((await contentOf(source, tree, "empty")).length, 0);
});

t.test(
  "a snapshot is named by its list, and a change of the same length is noticed at the next look",
  async (t) => {
    const old = randomBytes(2 * MiB + 100);
    await c.put("changes", old);
    const { source, logged } = await sourceOf(c);
    const first = await source.newest();
    const tree = await source.tree(first);
    t.ok((await contentOf(source, tree, "changes")).equals(old));
    t.match(fileAt(tree, "changes").sha256, Buffer, "the hash is known once the whole file has been read");
    const other = await sourceOf(c);
    t.ok(
      (await other.source.newest()).hash.equals(first.hash),
      "another host gives the snapshot the same hash",
    );
    t.ok((await source.newest()).hash.equals(first.hash), "an unchanged canister gives the same snapshot");

    const now = Buffer.from(old);
    now[2 * MiB + 50]! ^= 1;
    await c.put("changes", now);
    const second = await source.newest();
    t.notOk(second.hash.equals(first.hash));
    t.equal(logged.filter((line) => line.includes("changes: the canister's bytes have changed")).length, 1);
    t.ok((await contentOf(source, await source.tree(second), "changes")).equals(now));
    await t.rejects(contentOf(source, tree, "changes"), { message: /changes has changed on the canister/ });
    t.ok((await source.newest()).hash.equals(second.hash));

    await c.put("changes", now.subarray(0, 1000));
    const third = await source.tree(await source.newest());
    t.ok((await contentOf(source, third, "changes")).equals(now.subarray(0, 1000)), "it shrinks");
    await c.put("changes", Buffer.concat([now, now]));
    await t.rejects(
      contentOf(source, third, "changes"),
      { message: /has changed/ },
      "a file longer than listed is refused",
    );
    const fourth = await source.tree(await source.newest());
    t.ok((await contentOf(source, fourth, "changes")).equals(Buffer.concat([now, now])), "it grows");
  },
);

t.test("a large file is checked for changes a part at a time, until all of it has been", async (t) => {
  const large = randomBytes(20 * MiB);
  await c.put("large", large);
  const proxy = await startFaultProxy(t, c.url);
  const { source } = await sourceOf(c, {}, proxy.url);
  await contentOf(source, await source.tree(await source.newest()), "large");
  const look = async () => {
    const before = proxy.queries;
    const { hash } = await source.newest();
    return { hash: hash.toString("hex"), queries: proxy.queries - before };
  };
  const first = await look();
  t.ok(first.queries < 12, `${first.queries} queries`);
  large[19 * MiB] = large[19 * MiB]! ^ 1;
  await c.put("large", large);
  const seen = [await look(), await look(), await look()].findIndex(({ hash }) => hash !== first.hash);
  t.ok(seen >= 0, `the change is noticed in look ${seen + 1}`);
});

t.test("with --trust query, bytes that no node has signed are refused", async (t) => {
  const content = randomBytes(1000);
  await c.put("signed", content);
  const proxy = await startFaultProxy(t, c.url);
  const { source } = await sourceOf(c, { kind: "icboot" }, proxy.url);
  const tree = await source.tree(await source.newest());
  proxy.fault = () => (answer) => {
    const at = answer.indexOf(content);
    if (at >= 0) answer[at + 500]! ^= 1;
    return answer;
  };
  await t.rejects(contentOf(source, tree, "signed"), { message: /signature/i });
  proxy.fault = () => "none";
  t.ok((await contentOf(source, tree, "signed")).equals(content));
});

t.test("with --trust replicated, every read is an update call and certified", async (t) => {
  const proxy = await startFaultProxy(t, c.url);
  const { source } = await sourceOf(c, { kind: "icboot", trust: "replicated" }, proxy.url);
  const release = await source.newest();
  t.equal(release.verified, "replicated");
  const tree = await source.tree(release);
  t.equal(String(await contentOf(source, tree, "é")), "é");
  t.same([proxy.queries, proxy.calls], [0, 2]);
  const flipped = async () => {
    proxy.fault = ((path) => (path.endsWith("/call") ? "flip" : "none")) as FaultProxy["fault"];
    await contentOf(source, tree, "d");
  };
  await t.rejects(flipped(), "a certificate that is not right");
});

t.test("a kept snapshot is restored, but refused if it is damaged or of another trust", async (t) => {
  const { source } = await sourceOf(c);
  const release = await source.newest();
  await contentOf(source, await source.tree(release), "changes");
  const evidence = (await source.evidence(release))!;
  const offline = (await sourceOf(c, { kind: "icboot", offline: true })).source;
  const restored = await offline.restore(evidence);
  t.ok(restored.hash.equals(release.hash));
  const tree = await offline.tree(restored);
  t.match(fileAt(tree, "changes").sha256, Buffer);
  const chunk = tree.chunks[fileAt(tree, "changes").extents[0]!.chunk]!;
  t.match(chunk.sha256, Buffer, "a restored chunk has its hash, by which the cache finds it");
  const replicated = (await sourceOf(c, { kind: "icboot", trust: "replicated" })).source;
  await t.rejects(replicated.restore(evidence), { message: /--trust query/ });
  evidence[evidence.length >> 1]! ^= 1;
  await t.rejects(offline.restore(evidence), { message: /damaged/ });
});

t.test("a chunk that was not read before its file changed is refused", async (t) => {
  const [old, now] = [randomBytes(2 * MiB), randomBytes(3 * MiB)];
  await c.put("initrd", old);
  const { source } = await sourceOf(c);
  const tree = await source.tree(await source.newest());
  const chunks = fileAt(tree, "initrd").extents.map(({ chunk }) => tree.chunks[chunk]!);
  t.ok((await source.chunk(chunks[0]!)).bytes.equals(old.subarray(0, MiB)));
  await c.put("initrd", now);
  const next = await source.tree(await source.newest());
  await t.rejects(source.chunk(chunks[1]!), { message: /initrd has changed/ });
  t.ok((await contentOf(source, next, "initrd")).equals(now));
});

t.test("a chunk that is requested before its file changes and answered afterwards is refused", async (t) => {
  const files = new Map([["initrd", 2 * MiB]]);
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const signed = async (method: string) => {
    if (method === "listing") {
      const pairs = IDL.Vec(IDL.Tuple(IDL.Text, IDL.Nat));
      return Uint8Array.from(IDL.encode([pairs], [[...files]]));
    }
    asked.resolve();
    await answer.promise;
    return Uint8Array.from(IDL.encode([IDL.Vec(IDL.Nat8)], [new Uint8Array(MiB)]));
  };
  const calls = { signed, replicated: signed };
  const source = new IcbootSource(calls, "query", createLog("error"));
  const tree = await source.tree(await source.newest());
  const late = source.chunk(tree.chunks[fileAt(tree, "initrd").extents[1]!.chunk]!);
  const refused = t.rejects(late, { message: /initrd has changed/ });
  await asked.promise;
  files.set("initrd", 3 * MiB);
  await source.newest();
  answer.resolve();
  await refused;
});

t.test("a file that disappears and comes back with the same length is another file", async (t) => {
  const other = await startIcboot(t);
  await other.put("config", Buffer.from("old"));
  await other.put("other", Buffer.from("x"));
  const { source } = await sourceOf(other);
  const first = await source.newest();
  t.equal(String(await contentOf(source, await source.tree(first), "config")), "old");
  await other.upgrade();
  await t.rejects(source.newest(), { message: /has lost them/ });
  await other.put("other", Buffer.from("x"));
  t.notOk((await source.newest()).hash.equals(first.hash));
  await other.put("config", Buffer.from("new"));
  const third = await source.newest();
  t.notOk(third.hash.equals(first.hash));
  t.equal(String(await contentOf(source, await source.tree(third), "config")), "new");
});
