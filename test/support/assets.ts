/** Runs the twin of the IC's standard asset canister (assets.mo) on a local network, and fills it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Actor, type HttpAgent } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import type { LocalNetworkOptions } from "../../localnet/index.ts";
import { type InstalledCanister, startInstalled } from "./canister-network.ts";
import { compiled } from "./compiled.ts";
import type { Test } from "./icfs.ts";

const MAIN = fileURLToPath(new URL("assets.mo", import.meta.url));
const LIBRARIES = [fileURLToPath(new URL("../../canister", import.meta.url))];
/** The size of the pieces in which the IC's own uploader sends content. */
const CHUNK_BYTES = 1_900_000;
/** The most content of one `commit_batch`, which must fit in the IC's 2 MiB. */
const BATCH_BYTES = 1_500_000;

export interface StoreOptions {
  /** Default: identity. */
  readonly encoding?: string;
  /** Bytes of every chunk; or of each of the first chunks, and the rest is one more. Default: as in the IC's uploader. */
  readonly chunkBytes?: number | readonly number[];
  readonly contentType?: string;
  /** The SHA-256 that is claimed for the content. Default: none, so that the canister computes it. */
  readonly sha256?: Uint8Array;
  /** Whether it has aliases. Default: unspecified, which means yes. */
  readonly aliased?: boolean;
}

export interface AssetDetails {
  readonly key: string;
  readonly content_type: string;
  readonly encodings: readonly {
    readonly content_encoding: string;
    readonly sha256: [] | [Uint8Array];
    readonly length: bigint;
    readonly modified: bigint;
  }[];
  readonly max_age: [] | [bigint];
  readonly headers: [] | [[string, string][]];
  readonly allow_raw_access: [] | [boolean];
  readonly is_aliased: [] | [boolean];
}

type Operation =
  | { CreateAsset: CreateAsset }
  | { SetAssetContent: SetAssetContent }
  | { UnsetAssetContent: { key: string; content_encoding: string } }
  | { DeleteAsset: { key: string } };

interface CreateAsset {
  key: string;
  content_type: string;
  max_age: [] | [bigint];
  headers: [] | [[string, string][]];
  enable_aliasing: [] | [boolean];
  allow_raw_access: [] | [boolean];
}

interface SetAssetContent {
  key: string;
  content_encoding: string;
  chunk_ids: bigint[];
  last_chunk: [] | [Uint8Array];
  sha256: [] | [Uint8Array];
}

/** The canister's methods, field by field as in assets.mo. */
export interface AssetsActor {
  list(page: { start: [] | [bigint]; length: [] | [bigint] }): Promise<AssetDetails[]>;
  get(request: { key: string; accept_encodings: string[] }): Promise<{
    content: Uint8Array;
    content_type: string;
    content_encoding: string;
    sha256: [] | [Uint8Array];
    total_length: bigint;
  }>;
  get_chunk(request: {
    key: string;
    content_encoding: string;
    index: bigint;
    sha256: [] | [Uint8Array];
  }): Promise<{ content: Uint8Array }>;
  certified_tree(nothing: Record<string, never>): Promise<{ certificate: Uint8Array; tree: Uint8Array }>;
  create_batch(nothing: Record<string, never>): Promise<{ batch_id: bigint }>;
  create_chunk(chunk: { batch_id: bigint; content: Uint8Array }): Promise<{ chunk_id: bigint }>;
  commit_batch(batch: { batch_id: bigint; operations: Operation[] }): Promise<void>;
  twin_list_all(on: boolean): Promise<void>;
  twin_hide(key: string, on: boolean): Promise<void>;
  twin_corrupt(key: string, content_encoding: string, index: [] | [bigint]): Promise<void>;
  twin_claim_length(key: string, content_encoding: string, length: [] | [bigint]): Promise<void>;
  twin_pad_tree(bytes: bigint): Promise<void>;
  twin_without_http_assets(on: boolean): Promise<void>;
}

export interface AssetsCanister extends InstalledCanister {
  /** All methods of the canister. */
  readonly actor: AssetsActor;
  /** Stores an asset's content in one encoding; creates the asset if it does not exist. */
  store(key: string, content: Uint8Array, options?: StoreOptions): Promise<void>;
  /** Creates many small assets, in as few calls as possible. */
  storeAll(contents: Iterable<readonly [key: string, content: Uint8Array]>): Promise<void>;
  /** Creates an asset without content. */
  create(key: string): Promise<void>;
  /** Removes an asset's content in one encoding. */
  unset(key: string, encoding?: string): Promise<void>;
  /** Deletes an asset. */
  remove(key: string): Promise<void>;
  /** The twin's switches: see assets.mo. */
  listAll(on: boolean): Promise<void>;
  hide(key: string, on?: boolean): Promise<void>;
  /** @param index of the chunk; undefined: none is corrupt any more */
  corrupt(key: string, index: number | undefined, encoding?: string): Promise<void>;
  /** @param length undefined: the true one */
  claimLength(key: string, length: number | undefined, encoding?: string): Promise<void>;
  /** More than 3 MiB do not fit in a reply. */
  padTree(bytes: number): Promise<void>;
  withoutHttpAssets(on: boolean): Promise<void>;
}

/** The twin, or for comparison the real canister, if ICFS_ASSETS_WASM names its file. */
export function assetsWasm(): Uint8Array {
  const real = process.env.ICFS_ASSETS_WASM;
  return real === undefined ? compiled(MAIN, LIBRARIES) : Uint8Array.from(readFileSync(real));
}

/** Starts a network with the empty twin; it ends with the test. */
export async function startAssets(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
): Promise<AssetsCanister> {
  const started = await startInstalled(t, assetsWasm(), options);
  const { canister, agent } = started;
  const actor = assetsActor(agent, canister);
  return { ...started, actor, ...filling(actor), ...switches(actor) };
}

/** The canister's interface, with calls signed by `agent`. */
export function assetsActor(agent: HttpAgent, canisterId: Principal): AssetsActor {
  return Actor.createActor<AssetsActor>(candid, { agent, canisterId });
}

type Filling = Pick<AssetsCanister, "store" | "storeAll" | "create" | "unset" | "remove">;

/** Functions that fill a canister. They use the real canister's own methods, so they work there too. */
export function filling(actor: AssetsActor): Filling {
  const present = new Set<string>();
  /** The operation that creates the asset, unless it exists. */
  const creation = (key: string, { contentType, aliased }: StoreOptions = {}): Operation[] => {
    if (present.has(key)) return [];
    present.add(key);
    const content_type = contentType ?? "application/octet-stream";
    const enable_aliasing: [] | [boolean] = aliased === undefined ? [] : [aliased];
    return [
      { CreateAsset: { key, content_type, max_age: [], headers: [], enable_aliasing, allow_raw_access: [] } },
    ];
  };
  const commit = (operations: Operation[]) => actor.commit_batch({ batch_id: 0n, operations });
  return {
    async store(key, content, options = {}) {
      const { encoding: content_encoding = "identity", chunkBytes = CHUNK_BYTES, sha256 } = options;
      const { batch_id } = await actor.create_batch({});
      const chunk_ids: bigint[] = [];
      for (const part of partsOf(content, chunkBytes))
        chunk_ids.push((await actor.create_chunk({ batch_id, content: part })).chunk_id);
      const claimed: [] | [Uint8Array] = sha256 === undefined ? [] : [sha256];
      const setting = { key, content_encoding, chunk_ids, last_chunk: [] as [], sha256: claimed };
      await commit([...creation(key, options), { SetAssetContent: setting }]);
    },
    async storeAll(contents) {
      let operations: Operation[] = [];
      let bytes = 0;
      for (const [key, content] of contents) {
        const setting = { key, content_encoding: "identity", chunk_ids: [], sha256: [] as [] };
        operations.push(...creation(key), { SetAssetContent: { ...setting, last_chunk: [content] } });
        bytes += content.length + 200 + 2 * key.length;
        if (bytes < BATCH_BYTES && operations.length < 2000) continue;
        await commit(operations);
        operations = [];
        bytes = 0;
      }
      if (operations.length > 0) await commit(operations);
    },
    create: (key) => commit(creation(key)),
    unset: (key, content_encoding = "identity") => commit([{ UnsetAssetContent: { key, content_encoding } }]),
    async remove(key) {
      await commit([{ DeleteAsset: { key } }]);
      present.delete(key);
    },
  };
}

function* partsOf(content: Uint8Array, chunkBytes: number | readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < content.length || i === 0; i++) {
    const size = (typeof chunkBytes === "number" ? chunkBytes : chunkBytes[i]) ?? content.length - at;
    yield content.subarray(at, at + size);
    at += size;
  }
}

type Switches = Pick<
  AssetsCanister,
  "listAll" | "hide" | "corrupt" | "claimLength" | "padTree" | "withoutHttpAssets"
>;

function switches(actor: AssetsActor): Switches {
  const optional = (value: number | undefined): [] | [bigint] => (value === undefined ? [] : [BigInt(value)]);
  return {
    listAll: (on) => actor.twin_list_all(on),
    hide: (key, on = true) => actor.twin_hide(key, on),
    corrupt: (key, index, encoding = "identity") => actor.twin_corrupt(key, encoding, optional(index)),
    claimLength: (key, length, encoding = "identity") =>
      actor.twin_claim_length(key, encoding, optional(length)),
    padTree: (bytes) => actor.twin_pad_tree(BigInt(bytes)),
    withoutHttpAssets: (on) => actor.twin_without_http_assets(on),
  };
}

const candid: IDL.InterfaceFactory = ({ IDL }) => {
  const blob = IDL.Vec(IDL.Nat8);
  const sha256 = IDL.Opt(blob);
  const key = IDL.Text;
  const content_encoding = IDL.Text;
  const content_type = IDL.Text;
  const nothing = IDL.Record({});
  const max_age = IDL.Opt(IDL.Nat64);
  const headers = IDL.Opt(IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text)));
  const allow_raw_access = IDL.Opt(IDL.Bool);
  const encoding = IDL.Record({ content_encoding, sha256, length: IDL.Nat, modified: IDL.Int });
  const details = IDL.Record({
    key,
    content_type,
    encodings: IDL.Vec(encoding),
    max_age,
    headers,
    allow_raw_access,
    is_aliased: IDL.Opt(IDL.Bool),
  });
  const create = {
    key,
    content_type,
    max_age,
    headers,
    enable_aliasing: IDL.Opt(IDL.Bool),
    allow_raw_access,
  };
  const set = { key, content_encoding, chunk_ids: IDL.Vec(IDL.Nat), last_chunk: IDL.Opt(blob), sha256 };
  const operation = IDL.Variant({
    CreateAsset: IDL.Record(create),
    SetAssetContent: IDL.Record(set),
    UnsetAssetContent: IDL.Record({ key, content_encoding }),
    DeleteAsset: IDL.Record({ key }),
  });
  const optional = IDL.Opt(IDL.Nat);
  return IDL.Service({
    list: IDL.Func([IDL.Record({ start: optional, length: optional })], [IDL.Vec(details)], ["query"]),
    get: IDL.Func(
      [IDL.Record({ key, accept_encodings: IDL.Vec(IDL.Text) })],
      [IDL.Record({ content: blob, content_type, content_encoding, sha256, total_length: IDL.Nat })],
      ["query"],
    ),
    get_chunk: IDL.Func(
      [IDL.Record({ key, content_encoding, index: IDL.Nat, sha256 })],
      [IDL.Record({ content: blob })],
      ["query"],
    ),
    certified_tree: IDL.Func([nothing], [IDL.Record({ certificate: blob, tree: blob })], ["query"]),
    create_batch: IDL.Func([nothing], [IDL.Record({ batch_id: IDL.Nat })], []),
    create_chunk: IDL.Func(
      [IDL.Record({ batch_id: IDL.Nat, content: blob })],
      [IDL.Record({ chunk_id: IDL.Nat })],
      [],
    ),
    commit_batch: IDL.Func([IDL.Record({ batch_id: IDL.Nat, operations: IDL.Vec(operation) })], [], []),
    twin_list_all: IDL.Func([IDL.Bool], [], []),
    twin_hide: IDL.Func([IDL.Text, IDL.Bool], [], []),
    twin_corrupt: IDL.Func([IDL.Text, IDL.Text, optional], [], []),
    twin_claim_length: IDL.Func([IDL.Text, IDL.Text, optional], [], []),
    twin_pad_tree: IDL.Func([IDL.Nat], [], []),
    twin_without_http_assets: IDL.Func([IDL.Bool], [], []),
  });
};
