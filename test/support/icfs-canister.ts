/** The icfs canister on a local network in the test's process, and its publisher's interface. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { SignIdentity } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import type { Test } from "tap";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { type IcfsCanister, icfsCanister, type PublishResult } from "../../lib/icfs-canister.ts";
import { openReader } from "../../lib/source/icfs/open-release.ts";
import type { ReleaseReader } from "../../lib/source/icfs/release-reader.ts";
import type { Entry, Manifest } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import type { LocalNetworkOptions } from "../../localnet/index.ts";
import { installedState, OWNER } from "./kept-networks.ts";
import { type EmptyNetwork, NO_INSTALL_ARGUMENTS, startEmptyNetwork } from "./networks.ts";

export const ICFS_WASM = Uint8Array.from(readFileSync(new URL("../../build/icfs.wasm", import.meta.url)));

export interface StartedCanister {
  readonly network: EmptyNetwork;
  readonly id: Principal;
  /** The interface for its owner. */
  readonly owner: IcfsCanister;
  /** The interface for another identity; undefined: for an anonymous caller. */
  as(identity: SignIdentity | undefined): IcfsCanister;
  readonly source: ReleaseReader;
  /** Stores a manifest, and publishes it on top of the newest release. */
  publish(manifest: Manifest | Uint8Array): Promise<PublishResult>;
}

/** Starts a network with an icfs canister without releases; it ends with the test. */
export async function startIcfsCanister(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
  wasm = ICFS_WASM,
): Promise<StartedCanister> {
  const { state, canister: id } = await installedState(t, wasm, NO_INSTALL_ARGUMENTS, options.state);
  const network = await startEmptyNetwork(t, { ...options, state }, OWNER);
  return startedCanister(network, id);
}

/** A canister that is installed on a network already. */
export function startedCanister(network: EmptyNetwork, id: Principal): StartedCanister {
  const owner = icfsCanister(network.agent, id);
  const { url, rootKey } = network;
  const source = openReader({ network: resolveNetwork(url), rootKey, canister: id }, 10_000);
  return {
    network,
    id,
    owner,
    as: (identity) => icfsCanister(network.agentFor(identity), id),
    source,
    async publish(manifest) {
      const bytes = manifest instanceof Uint8Array ? manifest : Buffer.concat(encodeManifest(manifest));
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += 1_000_000) {
        pieces.push((await owner.put([bytes.subarray(at, at + 1_000_000)]))[0]!);
      }
      const head = await source.head();
      return owner.publish({ manifest: pieces, parent: head === undefined ? [] : [head.hash], note: "" });
    },
  };
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** A manifest of files with these contents, each in a chunk of its own, and those chunks. */
export function treeOf(contents: Readonly<Record<string, string>>): { manifest: Manifest; chunks: Buffer[] } {
  const chunks: Buffer[] = [];
  const entries: Entry[] = Object.entries(contents).map(([path, text]) => {
    const bytes = Buffer.from(text);
    chunks.push(bytes);
    const extents = [{ chunk: chunks.length - 1, offset: 0, length: bytes.length }];
    return {
      kind: "file",
      path,
      modified: 1n,
      size: bytes.length,
      sha256: sha256(bytes),
      executable: false,
      extents,
    };
  });
  return {
    manifest: { chunks: chunks.map((c) => ({ sha256: sha256(c), size: c.length })), entries },
    chunks,
  };
}
