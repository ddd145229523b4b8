/** Opens sources of canisters as commands do, and collects their log. */

import { createHash } from "node:crypto";
import { FileReader } from "../../lib/cache/file-reader.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { createLog } from "../../lib/log.ts";
import { openSource, type SourceOptions } from "../../lib/source/open-source.ts";
import type { Pieces, Source } from "../../lib/source/source.ts";
import type { Chunk, Tree, TreeFile } from "../../lib/tree/tree.ts";
import type { TestNetwork } from "./canister-network.ts";

const REQUEST_TIMEOUT = 30_000;

export interface OpenedSource {
  readonly source: Source;
  /** The messages that it has logged. */
  readonly logged: string[];
}

/** Opens a canister's source. @param through another URL of the network, such as a fault proxy's */
export async function sourceOf(
  {
    network,
    rootKey,
    canister,
  }: TestNetwork & { readonly canister: Parameters<typeof openSource>[0]["canister"] },
  options: Partial<SourceOptions> = {},
  through?: string,
): Promise<OpenedSource> {
  const logged: string[] = [];
  const log = createLog("debug", (line) => logged.push(line));
  const reached = through === undefined ? network : resolveNetwork(through);
  const source = await openSource(
    { network: reached, rootKey, canister },
    { kind: undefined, trust: "query", requestTimeout: REQUEST_TIMEOUT, log, ...options },
  );
  return { source, logged };
}

/** A tree's file. @throws Error when there is none */
export function fileAt(tree: Tree, path: string): TreeFile {
  const entry = tree.find(path)?.entry;
  if (entry?.kind !== "file") throw new Error(`${path} is not a file`);
  return entry;
}

/** The content of a file, directly from the source. */
export async function contentOf(source: Source, tree: Tree, path: string): Promise<Buffer> {
  const chunks = { get: async (chunk: Chunk) => (await source.chunk(chunk)).bytes, prefetch: () => {} };
  const parts: Buffer[] = [];
  for await (const part of new FileReader([fileAt(tree, path)], tree.chunks, chunks).read(0))
    parts.push(part);
  return Buffer.concat(parts);
}

/** Paths of all files, in order. */
export function filesIn(tree: Tree): string[] {
  return tree.nodes.filter(({ entry }) => entry.kind === "file").map(({ entry }) => entry.path);
}

/** Simulates a disk in memory, which detects damage like the real one. */
export function piecesInMemory(): Pieces & { readonly held: Map<string, Buffer> } {
  const held = new Map<string, Buffer>();
  return {
    held,
    async read(sha256) {
      const bytes = held.get(sha256);
      const isRight = bytes && createHash("sha256").update(bytes).digest("hex") === sha256;
      return isRight ? bytes : undefined;
    },
    async write(sha256, bytes) {
      held.set(sha256, Buffer.from(bytes));
    },
  };
}
