/** A simulated canister with channels: provides the readers that lib/source/icfs/all-channels.ts needs. */
import { createHash } from "node:crypto";
import { resolveNetwork } from "../../lib/ic/network.ts";
import type { CanisterAddress } from "../../lib/source/address.ts";
import type { ChannelReaders } from "../../lib/source/icfs/all-channels.ts";
import type { Head, ReleaseReader, VerifiedRecord } from "../../lib/source/icfs/release-reader.ts";
import type { ChannelRecord } from "../../lib/tree/channel.ts";
import { headerHash } from "../../lib/tree/header.ts";
import type { Manifest } from "../../lib/tree/manifest.ts";
import { readerOf } from "../source/icfs/chain-reader.ts";
import { canisterId } from "./certificates.ts";
import { encodeChain } from "./headers.ts";

export interface MadeUpChannels {
  readonly address: CanisterAddress;
  readonly readers: ChannelReaders;
  /** Publishes releases up to this one. */
  publish(number: number): void;
  /** @param release undefined: delete the channel */
  promote(channel: string, release: number | undefined): void;
  /** The error of the next queries for all channels; undefined: they succeed. */
  failure: Error | undefined;
  /** The numbers of requests so far. */
  readonly asked: { heads: number; manifests: number; chunks: number };
  /** Called before a manifest is served. */
  beforeManifest: (number: number) => Promise<void>;
}

/** The content of the file `version` in a release. */
export const versionOf = (number: number) => `release ${number}\n`;

/** A tree with a file that names its release, and one that is the same in all releases. */
function manifestOf(number: number): Manifest {
  const contents = { same: "same\n", version: versionOf(number) };
  const chunks = Object.values(contents).map((text) => ({
    sha256: createHash("sha256").update(text).digest(),
    size: text.length,
  }));
  const entries = Object.keys(contents).map((path, i) => ({
    kind: "file" as const,
    path,
    modified: BigInt(path === "same" ? 1 : number),
    size: chunks[i]!.size,
    sha256: chunks[i]!.sha256,
    executable: false,
    extents: [{ chunk: i, offset: 0, length: chunks[i]!.size }],
  }));
  return { chunks, entries };
}

/** A canister whose release 1 is published, and which has no channels yet. */
export function madeUpChannels(): MadeUpChannels {
  const chain = encodeChain(9);
  let newest = 1;
  const records = new Map<string, VerifiedRecord>();
  const heads: Head[] = [];
  const chunks = new Map<string, Buffer>();
  for (const text of ["same\n", ...chain.map((_, i) => versionOf(i + 1))]) {
    chunks.set(createHash("sha256").update(text).digest("hex"), Buffer.from(text));
  }
  const canister: MadeUpChannels = {
    address: {
      canister: canisterId(1),
      rootKey: Buffer.alloc(133, 7),
      network: resolveNetwork("http://192.0.2.1:8080"),
    },
    readers: {
      all: reader(async () => {
        canister.asked.heads += 1;
        if (canister.failure !== undefined) throw canister.failure;
        const head = (await readerOf(chain.slice(0, newest)).head())!;
        heads.push({ ...head, channels: new Map(records), proof: Buffer.from(`${heads.length}`) });
        return heads.at(-1)!;
      }),
      of: () => reader(() => Promise.reject(new Error("nobody asks"))),
    },
    publish(number) {
      newest = number;
    },
    promote(channel, release) {
      const serial = (records.get(channel)?.record.serial ?? 0) + 1;
      const names =
        release === undefined ? undefined : { number: release, header: headerHash(chain[release - 1]!) };
      const hash = createHash("sha256").update(`${channel} ${serial} ${release}`).digest();
      records.set(channel, { record: { name: channel, serial, release: names } as ChannelRecord, hash });
    },
    failure: undefined,
    asked: { heads: 0, manifests: 0, chunks: 0 },
    beforeManifest: async () => {},
  };

  function reader(head: ReleaseReader["head"]): ReleaseReader {
    return {
      head,
      restore: async (proof) => heads[Number(proof.toString())]!,
      headers: (from, count) => readerOf(chain).headers(from, count),
      async manifest({ number }) {
        canister.asked.manifests += 1;
        await canister.beforeManifest(number);
        return manifestOf(number);
      },
      async chunk({ sha256 }) {
        canister.asked.chunks += 1;
        return chunks.get(Buffer.from(sha256).toString("hex"))!;
      },
    };
  }
  return canister;
}
