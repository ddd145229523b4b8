/** Runs a lying canister (liar.mo) on a local network: the test decides what it certifies and serves. */
import { fileURLToPath } from "node:url";
import { Actor } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import type { Test } from "tap";
import { NO_ARGUMENTS } from "../../lib/ic/agent.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { openReader } from "../../lib/source/icfs/open-release.ts";
import type { ReleaseReader } from "../../lib/source/icfs/release-reader.ts";
import type { Manifest } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { compiled } from "./compiled.ts";
import { encodeHeader, type HeaderFields } from "./headers.ts";
import { BIN, cleanEnvironment, type Result, run, temporaryDirectory } from "./icfs.ts";
import { sha256 } from "./icfs-canister.ts";
import { installedState, OWNER } from "./kept-networks.ts";
import { type EmptyNetwork, startEmptyNetwork } from "./networks.ts";

const MAIN = fileURLToPath(new URL("liar.mo", import.meta.url));
const LIBRARIES = [fileURLToPath(new URL("../../canister", import.meta.url))];
/** Bytes of a manifest's piece; the network does not accept much more at once. */
const PIECE_BYTES = 1024 * 1024;

interface LiarCanister {
  tell(newest: Uint8Array, older: readonly Uint8Array[]): Promise<void>;
  serve(hash: Uint8Array, bytes: Uint8Array): Promise<void>;
}

export interface Liar extends LiarCanister {
  readonly network: EmptyNetwork;
  readonly id: Principal;
  readonly source: ReleaseReader;
  /**
   * Makes a manifest, valid or not, the newest release. Its pieces are served, its files' chunks are not.
   *
   * @param fields of the header that replace the true ones
   * @returns the header's bytes
   */
  release(manifest: Manifest | Uint8Array, fields?: HeaderFields): Promise<Buffer>;
}

/** Starts a network with the canister; it ends with the test. */
export async function startLiar(t: Test): Promise<Liar> {
  const { state, canister: id } = await installedState(t, compiled(MAIN, LIBRARIES), NO_ARGUMENTS);
  const network = await startEmptyNetwork(t, { state }, OWNER);
  const { url, rootKey, agent } = network;
  const { tell, serve } = Actor.createActor<LiarCanister>(candid, { agent, canisterId: id });
  return {
    network,
    id,
    tell,
    serve,
    source: openReader({ network: resolveNetwork(url), rootKey, canister: id }, 10_000),
    async release(manifest, fields = {}) {
      const bytes = manifest instanceof Uint8Array ? manifest : Buffer.concat(encodeManifest(manifest));
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        const piece = bytes.subarray(at, at + PIECE_BYTES);
        const hash = sha256(piece);
        chunks.push(hash);
        await serve(hash, piece);
      }
      const header = encodeHeader({
        manifest: { sha256: sha256(bytes), size: bytes.length, chunks },
        ...fields,
      });
      await tell(header, []);
      return header;
    },
  };
}

export interface Reader {
  /** Runs bin/icfs on a host of its own that has not accepted anything yet. */
  icfs(...args: string[]): Promise<Result>;
  /** The canister. */
  readonly id: string;
}

/** A new host. Its files are removed at the end of the test. */
export async function readerOf(t: Test, { network, id }: Liar): Promise<Reader> {
  const env = { ...cleanEnvironment(await temporaryDirectory(t)), ICFS_NETWORK: network.url };
  return { icfs: (...args) => run(BIN, args, { env }), id: id.toText() };
}

const candid: IDL.InterfaceFactory = ({ IDL }) => {
  const blob = IDL.Vec(IDL.Nat8);
  return IDL.Service({
    tell: IDL.Func([blob, IDL.Vec(blob)], [], []),
    serve: IDL.Func([blob, blob], [], []),
  });
};
