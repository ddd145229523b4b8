/** Reads a canister's files over HTTP as a gateway does, with verification, and makes trees for that. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import type { Entry, Manifest } from "../../lib/tree/manifest.ts";
import { compiled } from "./compiled.ts";
import { askHttp, gatewayAgent, type HttpAnswer, type HttpAsked, headerOf, verifyHttp } from "./http.ts";
import { type StartedCanister, sha256, startIcfsCanister } from "./icfs-canister.ts";

const MIB = 1024 * 1024;

/** null: a directory; a symlink with its target; or a file's bytes. */
export type Content = null | { readonly link: string } | Buffer;

/** A tree with its chunks; files are split into chunks of at most `chunkBytes`. */
export function treeWith(contents: Readonly<Record<string, Content>>, chunkBytes = MIB) {
  const chunks: Buffer[] = [];
  const paths = Object.keys(contents).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const entries = paths.map((path): Entry => {
    const content = contents[path]!;
    if (content === null) return { kind: "directory", path, modified: 0n };
    if ("link" in content) return { kind: "symlink", path, modified: 0n, target: content.link };
    const extents: { chunk: number; offset: number; length: number }[] = [];
    for (let at = 0; at < content.length; at += chunkBytes) {
      chunks.push(content.subarray(at, at + chunkBytes));
      extents.push({ chunk: chunks.length - 1, offset: 0, length: chunks.at(-1)!.length });
    }
    const { length: size } = content;
    return { kind: "file", path, modified: 0n, size, sha256: sha256(content), executable: false, extents };
  });
  const manifest: Manifest = { chunks: chunks.map((c) => ({ sha256: sha256(c), size: c.length })), entries };
  return { manifest, chunks };
}

/** Publishes a tree. @returns the release's number */
export async function publishTree(
  canister: StartedCanister,
  contents: Readonly<Record<string, Content>>,
  chunkBytes?: number,
): Promise<bigint> {
  const { manifest, chunks } = treeWith(contents, chunkBytes);
  // Each long chunk in a call of its own.
  for (const chunk of chunks.filter(({ length }) => length > 1000)) await canister.owner.put([chunk]);
  await canister.owner.put(chunks.filter(({ length }) => length <= 1000));
  const result = await canister.publish(manifest);
  if (!("ok" in result)) throw new Error(JSON.stringify(result));
  return result.ok;
}

export interface Site {
  /** Sends a request and verifies the answer; an error if that fails. */
  get(url: string, asked?: HttpAsked): Promise<HttpAnswer>;
  /** Sends a request without verifying the answer. */
  ask(url: string, asked?: HttpAsked): Promise<HttpAnswer>;
  /** The verified body of the answer to a GET, as UTF-8. */
  text(url: string): Promise<string>;
}

/** A canister's files over HTTP. */
export function siteOf({ network, id }: StartedCanister): Site {
  const agent = gatewayAgent(network);
  const ask = (url: string, asked?: HttpAsked) => askHttp(agent, id, url, asked);
  const get = async (url: string, asked: HttpAsked = {}) => {
    const answer = await ask(url, asked);
    verifyHttp(url, answer, id, network.rootKey, asked.method);
    return answer;
  };
  return { get, ask, text: async (url) => Buffer.from((await get(url)).body).toString() };
}

/** Waits until a canister's pages are those of its newest release. */
export async function ready({ owner }: StartedCanister): Promise<void> {
  for (;;) {
    const { http, newest } = await owner.status();
    if (http[0]!.release === newest) return;
    await sleep(50);
  }
}

/** startIcfsCanister(), with its files over HTTP. */
export async function startSite(t: Test): Promise<StartedCanister & Site> {
  // With the older endpoints as well, whatever the other networks have: see gatewayAgent.
  const canister = await startIcfsCanister(t, { api: "both" });
  return { ...canister, ...siteOf(canister) };
}

/** Reads a file of more than 1 MiB piece by piece, and compares it. */
export async function readPieces(t: Test, site: Site, url: string, bytes: Buffer): Promise<void> {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += MIB) {
    const asked = at === 0 ? {} : { headers: [["Range", `bytes=${at}-`] as [string, string]] };
    const answer = await site.get(url, asked);
    t.equal(answer.status, 206);
    const end = Math.min(at + MIB, bytes.length);
    t.equal(headerOf(answer, "content-range"), `bytes ${at}-${end - 1}/${bytes.length}`);
    pieces.push(answer.body);
  }
  t.ok(Buffer.concat(pieces).equals(bytes), url);
}

/** The limits to lower, by module: a pattern and its replacement. */
const SMALL_LIMITS: Record<string, readonly [RegExp, string]> = {
  // A message makes pages for about 40 new files instead of 3,000.
  "siteupdate.mo": [/(publishBudget|sliceBudget) = [\d_]+;/g, "$1 = 20_000_000;"],
  // Manifests count as large from here on, instead of from 4 MiB.
  "main.mo": [/(largeBytes) = [\d_]+;/g, "$1 = 100_000;"],
  // A tenth of each.
  "chunks.mo": [/(maxLoose|maxPut) : Nat = (\d+)0_000;/g, "$1 : Nat = $2_000;"],
};

/** The canister with lowered limits, which small trees reach: for tests of what happens between two messages of one job. */
export function smallLimits(t: Test): Uint8Array<ArrayBuffer> {
  const directory = t.testdir();
  cpSync(fileURLToPath(new URL("../../canister", import.meta.url)), directory, { recursive: true });
  for (const [module, [limits, instead]] of Object.entries(SMALL_LIMITS)) {
    const file = join(directory, module);
    const source = readFileSync(file, "utf8");
    const changed = source.replace(limits, instead);
    if (changed === source) throw new Error(`canister/${module} has no such limits`);
    writeFileSync(file, changed);
  }
  return compiled(join(directory, "main.mo"));
}
