/**
 * A fake network, for trees that are too large for a local network on this machine (which holds its data in memory, several times
 * over). It supports the part of the IC's HTTP interface that reading needs, for one canister whose chunks are generated on
 * request. Its root key is its own, and its certificates are properly signed, so icfs reads it like any other network; there are
 * no canisters, no updates, and no checks of the caller.
 *
 * As a process of its own, so that its memory is not the test's:
 *
 *     node test/support/generated-network.ts '{"large":{"files":16,"mebibytes":256}}'
 *     node test/support/generated-network.ts '{"small":{"directories":100,"filesEach":999}}'
 *
 * It prints {url, rootKey, canister} in JSON, and ends when its stdin does.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import * as cbor from "@dfinity/cbor";
import { headerHash } from "../../lib/tree/header.ts";
import { MAX_CHUNK_BYTES } from "../../lib/tree/limits.ts";
import type { Manifest } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { entrySize } from "../../lib/tree/tree.ts";
import { type HashTree, labels, leaf } from "../../localnet/hash-tree.ts";
import { Weather, type WeatherOptions } from "../../localnet/weather.ts";
import { canisterId, certify, newBlsKey } from "./certificates.ts";
import { GeneratedTree, largeFiles, smallFiles, type TreeShape } from "./generated-tree.ts";
import { encodeHeader } from "./headers.ts";
import { candidBlob, proofOf, witnessOf } from "./proofs.ts";

/** As a process receives them, in JSON. */
export interface GeneratedNetworkOptions extends Partial<WeatherOptions> {
  readonly large?: { readonly files: number; readonly mebibytes: number };
  readonly small?: { readonly directories: number; readonly filesEach: number };
}

export interface GeneratedNetwork {
  readonly url: string;
  /** DER. */
  readonly rootKey: Uint8Array;
  readonly canister: string;
  /** Makes the next release, with some files renewed. In a process, `POST /next-release` calls this. */
  nextRelease(): void;
  close(): Promise<void>;
}

/** The seed of every generated network's tree: the shape alone determines the content of its files. */
export const SEED = "icfs";
/** The beginning of a reply in CBOR: { status: "replied", signatures: [], reply: { arg: ..., whose length follows. */
const REPLY_PREFIX = Buffer.concat([
  Buffer.from([0xd9, 0xd9, 0xf7, 0xa3]),
  ...[Buffer.from([0x66]), Buffer.from("status"), Buffer.from([0x67]), Buffer.from("replied")],
  ...[Buffer.from([0x6a]), Buffer.from("signatures"), Buffer.from([0x80])],
  ...[Buffer.from([0x65]), Buffer.from("reply"), Buffer.from([0xa1, 0x63]), Buffer.from("arg")],
]);
/** The limit of the canister's replies of `headers`. */
const HEADERS_BYTES = 1_000_000;
/** How long a certificate is used before a new one is made. A host accepts one for five minutes. */
const CERTIFIED_FOR_MS = 30_000;

/** The requested thing does not exist. */
class NotFoundError extends Error {}

/** Starts a network with one release of the tree. @throws Error when the options name no tree */
export async function startGeneratedNetwork(options: GeneratedNetworkOptions): Promise<GeneratedNetwork> {
  const { latency = 0, bandwidth = Number.POSITIVE_INFINITY } = options;
  const weather = new Weather({ latency, bandwidth, updateLatency: 0 });
  const canister = new FakeCanister(new GeneratedTree(shapeOf(options), SEED));
  canister.nextRelease();
  const server = createServer((request, response) => {
    serve(canister, weather, request, response).catch((error) => {
      if (error instanceof NotFoundError) response.writeHead(404).end(error.message);
      else response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    rootKey: canister.rootKey,
    canister: canister.id.toText(),
    nextRelease: () => canister.nextRelease(),
    async close() {
      weather.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function shapeOf({ large, small }: GeneratedNetworkOptions): TreeShape {
  if (large !== undefined) return largeFiles(large.files, large.mebibytes);
  if (small !== undefined) return smallFiles(small.directories, small.filesEach);
  throw new Error("neither large nor small files are wanted");
}

/** Replaces the canister, and the subnet that certifies it. */
class FakeCanister {
  readonly id = canisterId(1);
  readonly #root = newBlsKey();
  readonly #subnet = newBlsKey();
  readonly #delegated = Date.now();
  #proof: { readonly header: Buffer; readonly certified: number; readonly bytes: Buffer } | undefined;
  readonly #tree: GeneratedTree;
  /** The headers of all releases, oldest first. */
  readonly #headers: Buffer[] = [];
  readonly #manifestPieces = new Map<string, Buffer>();

  constructor(tree: GeneratedTree) {
    this.#tree = tree;
  }

  get rootKey(): Uint8Array {
    return this.#root.publicKey;
  }

  nextRelease(): void {
    const number = this.#headers.length + 1;
    const parent = this.#headers.at(-1);
    const manifest = this.#tree.manifest(number);
    const bytes = Buffer.concat(encodeManifest(manifest));
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES) {
      const piece = bytes.subarray(at, at + MAX_CHUNK_BYTES);
      const hash = sha256(piece);
      this.#manifestPieces.set(hash.toString("hex"), piece);
      chunks.push(hash);
    }
    this.#headers.push(
      encodeHeader({
        number,
        parent: parent && headerHash(parent),
        manifest: { sha256: sha256(bytes), size: bytes.length, chunks },
        totals: totalsOf(manifest),
      }),
    );
  }

  /** Answers a query. @throws NotFoundError */
  answer(method: string, arg: Buffer): Uint8Array {
    switch (method) {
      case "release":
        return this.#release();
      case "headers":
        // After `DIDL` and the types of two numbers.
        return this.#headersFrom(Number(arg.readBigUInt64LE(8)), arg.readUInt32LE(16));
      case "chunk":
        return this.#chunk(arg.subarray(-32));
      default:
        throw new NotFoundError(`a generated network has no method ${method}`);
    }
  }

  /** The newest release's proof. It is certified now and then, as a subnet does it: signing for each request would delay the answers. */
  #release(): Buffer {
    const header = this.#headers.at(-1)!;
    const time = Date.now();
    if (this.#proof?.header !== header || time - this.#proof.certified > CERTIFIED_FOR_MS) {
      const certificate = certify({
        canister: this.id,
        data: witnessTree(header).hash,
        root: this.#root,
        subnet: this.#subnet,
        time,
        delegationTime: this.#delegated,
      });
      const bytes = proofOf({ header, witness: witnessOf(header), certificate });
      this.#proof = { header, certified: time, bytes };
    }
    return this.#proof.bytes;
  }

  #headersFrom(from: number, count: number): Uint8Array {
    const page: Buffer[] = [];
    let bytes = 0;
    for (let number = Math.min(from, this.#headers.length); number > 0 && page.length < count; number--) {
      const header = this.#headers[number - 1]!;
      bytes += header.length;
      if (bytes > HEADERS_BYTES) break;
      page.push(header);
    }
    return cbor.encode(page);
  }

  #chunk(hash: Buffer): Buffer {
    return this.#manifestPieces.get(hash.toString("hex")) ?? this.#tree.chunk(hash) ?? Buffer.alloc(0);
  }
}

function witnessTree(header: Uint8Array): HashTree {
  return labels([["icfs", labels([["head", leaf(headerHash(header))]])]]);
}

function totalsOf({ entries, chunks }: Manifest) {
  const files = entries.filter(({ kind }) => kind === "file");
  return {
    files: files.length,
    directories: entries.length - files.length,
    symlinks: 0,
    bytes: files.reduce((sum, file) => sum + entrySize(file), 0),
    chunks: chunks.length,
    chunkBytes: chunks.reduce((sum, { size }) => sum + size, 0),
  };
}

async function serve(
  canister: FakeCanister,
  weather: Weather,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await collect(request);
  await weather.oneWay();
  const bytes = answerTo(canister, `${request.method} ${request.url}`, body);
  await weather.oneWay();
  response.writeHead(200, { "content-type": "application/cbor", "content-length": bytes.length });
  for await (const piece of weather.download(bytes)) {
    if (response.destroyed) return;
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

/** @throws NotFoundError */
function answerTo(canister: FakeCanister, what: string, body: Buffer): Uint8Array {
  if (what === "GET /api/v2/status") {
    return cbor.encodeWithSelfDescribedTag({
      replica_health_status: "healthy",
      root_key: canister.rootKey,
    });
  }
  if (what === "POST /next-release") {
    canister.nextRelease();
    return new Uint8Array();
  }
  if (!/^POST \/api\/v[23]\/canister\/([^/]+)\/query$/.test(what) || !what.includes(canister.id.toText()))
    throw new NotFoundError(`there is no ${what} here`);
  const { content } = cbor.decode<{ content: { method_name: string; arg: Uint8Array } }>(body);
  return reply(canister.answer(content.method_name, Buffer.from(content.arg)));
}

/** Encoded by hand: the general encoder would copy a chunk several times. */
function reply(blob: Uint8Array): Buffer {
  const arg = candidBlob(blob);
  const length = Buffer.from([0x5a, 0, 0, 0, 0]);
  length.writeUInt32BE(arg.length, 1);
  return Buffer.concat([REPLY_PREFIX, length, arg]);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve);
    response.once("close", resolve);
  });
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

if (import.meta.main) {
  const network = await startGeneratedNetwork(JSON.parse(process.argv[2] ?? "{}"));
  const { url, canister } = network;
  console.log(JSON.stringify({ url, rootKey: Buffer.from(network.rootKey).toString("hex"), canister }));
  process.stdin.on("close", () => process.exit(0)).resume();
}
