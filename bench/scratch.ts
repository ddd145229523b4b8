import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { HttpAgent } from "@dfinity/agent";
import { Ed25519KeyIdentity } from "@dfinity/identity";
import { icfsCanister } from "../lib/icfs-canister.ts";
import { withQuickPut } from "../lib/publish/quick-put.ts";
import { IcfsReader } from "../lib/source/icfs/query-reader.ts";
import { encodeManifest } from "../lib/tree/manifest-encoder.ts";
import { startLocalNetwork } from "../localnet/index.ts";
import { memoryOf } from "../test/support/canister-memory.ts";
import { installCanister, NO_INSTALL_ARGUMENTS } from "../test/support/networks.ts";
import { countInstructions, instructionsOf } from "./instruction-count.ts";

const wasm = countInstructions(await readFile(process.argv[2]!));
const network = await startLocalNetwork({ port: 0, messageTimeLimit: 300_000 });
const agent = HttpAgent.createSync({
  host: network.url,
  rootKey: network.rootKey,
  identity: Ed25519KeyIdentity.generate(),
});
const id = await installCanister(agent, wasm, NO_INSTALL_ARGUMENTS);
const canister = icfsCanister(agent, id);
const quick = withQuickPut(canister, agent, id);
const source = new IcfsReader(agent, id, network.rootKey);
const sha256 = (b: Uint8Array) => createHash("sha256").update(b).digest();
async function measure<T>(what: string, call: () => Promise<T>): Promise<T> {
  const before = await instructionsOf(agent, id);
  const t0 = Date.now();
  const result = await call();
  const ms = Date.now() - t0;
  const n = (await instructionsOf(agent, id)) - before;
  const mem = await memoryOf(agent, id);
  console.log(
    what,
    (Number(n) / 1e6).toFixed(1),
    "M",
    ms,
    "ms",
    "heap",
    (mem.heap / 2 ** 20).toFixed(0),
    JSON.stringify(result, (k, v) => (typeof v === "bigint" ? String(v) : v))?.slice(0, 150),
  );
  return result;
}
const MIB = 1 << 20;
async function publish(what: string, manifest: any): Promise<any> {
  const bytes = Buffer.concat(encodeManifest(manifest));
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += MIB)
    pieces.push(...(await quick.put([bytes.subarray(at, at + MIB)])));
  const head = await source.head();
  await measure(`publish ${what}, ${(bytes.length / MIB).toFixed(1)} MiB`, () =>
    canister.publish({ manifest: pieces, parent: head ? [head.hash] : [], note: "" }),
  );
}
const rollback = async (to: bigint) => {
  const head = await source.head();
  await measure(`rollback ${to}`, () => canister.rollback({ to, parent: [head!.hash], note: "" }));
};
const put = async (n: number, from: number) => {
  const chunks = Array.from({ length: n }, (_, i) => {
    const b = Buffer.alloc(4);
    b.writeUInt32LE(from + i);
    return b;
  });
  for (let at = 0; at < n; at += 60000)
    await measure(
      `put ${Math.min(60000, n - at)}`,
      async () => (await quick.put(chunks.slice(at, at + 60000))).length,
    );
  return chunks.map((c) => ({ sha256: sha256(c), size: 4 }));
};
const what = process.argv.slice(3);
const one = (await put(1, 4_000_000_000))[0]!;
const file = (path: string, extents: any[]) => ({
  kind: "file",
  path,
  modified: 0n,
  size: extents.reduce((s, e) => s + e.length, 0),
  sha256: Buffer.alloc(32),
  executable: false,
  extents,
});
const pad = (i: number, n = 6) => String(i).padStart(n, "0");
if (what.includes("marginal")) {
  await put(1000, 0);
  await put(1000, 0);
  await put(10000, 2000);
  await put(10000, 2000);
  await put(60000, 100000);
  await measure("put big", () => quick.put([randomBytes(64 * 1000)]));
  for (const n of [10, 50, 54, 60, 118])
    await measure(
      `1000 of ${n}`,
      async () => (await quick.put(Array.from({ length: 1000 }, () => randomBytes(n)))).length,
    );
}
if (what.includes("entries")) {
  await publish("100k files long paths", {
    chunks: [one],
    entries: Array.from({ length: 100_000 }, (_, i) =>
      file(`${"x".repeat(245)}${pad(i)}`, [{ chunk: 0, offset: 0, length: 4 }]),
    ),
  });
  await publish("100k dirs deep", {
    chunks: [],
    entries: (() => {
      const e: any[] = [];
      for (let d = 0; d < 1000; d++) {
        let p = pad(d);
        for (let k = 0; k < 100; k++) {
          e.push({ kind: "directory", path: p, modified: 0n });
          p += "/aaa";
        }
      }
      return e;
    })(),
  });
  await rollback(1n);
  await rollback(2n);
  await rollback(1n);
  await rollback(1n);
}
if (what.includes("extents")) {
  await publish("1M extents", {
    chunks: [one],
    entries: [
      file(
        "a",
        Array.from({ length: 1_000_000 }, (_, i) => ({ chunk: 0, offset: 0, length: 1 })),
      ),
    ],
  });
  await publish("1M extents 1", {
    chunks: [one],
    entries: [
      file(
        "a",
        Array.from({ length: 999_999 }, (_, i) => ({ chunk: 0, offset: 0, length: 1 })),
      ),
    ],
  });
  for (let i = 0; i < 6; i++) await rollback(BigInt(1 + (i % 2)));
}
if (what.includes("links")) {
  for (const [n, depth] of [
    [50_000, 1],
    [50_000, 10],
  ] as const) {
    const entries: any[] = [];
    let p = "";
    for (let d = 0; d < depth; d++) {
      p += (d ? "/" : "") + `dir${d}`;
      entries.push({ kind: "directory", path: p, modified: 0n });
    }
    entries.push(file(p + "/a", [{ chunk: 0, offset: 0, length: 4 }]));
    for (let i = 0; i < n; i++)
      entries.push({
        kind: "symlink",
        path: p + `/l${pad(i)}`,
        target: "../".repeat(depth) + p + "/a",
        modified: 0n,
      });
    await publish(`${n} links depth ${depth}`, { chunks: [one], entries });
  }
}
if (what.includes("chunks")) {
  const all: any[] = [];
  const tree = (chunks: any[]) => ({
    chunks,
    entries: [
      file(
        "a",
        chunks.map((_, i) => ({ chunk: i, offset: 0, length: 4 })),
      ),
    ],
  });
  for (const n of [200_000, 200_000, 200_000, 80_000]) {
    for (const c of await put(n - 30, all.length)) all.push(c);
    await publish(`${all.length} chunks`, tree(all.slice()));
  }
  await rollback(3n);
  await rollback(4n);
  const st = await canister.status();
  console.log(st);
  await canister.configure({ ...st.settings, hold_newest: 1, hold_nanoseconds: 0n });
  for (let i = 0; i < 200; i++) {
    const s = await measure("wait", () => canister.status());
    if (s.backlog[0] === 0n) break;
    await new Promise((r) => setTimeout(r, 50));
  }
}
await network.close();
process.exit(0);
