/** From the id of an icfs canister to a verified release that is no older than what this host has accepted. */
import type { Principal } from "@icp-sdk/core/principal";
import { UserError } from "../../errors.ts";
import { createAgent } from "../../ic/agent.ts";
import { inSteps } from "../../steps.ts";
import type { ChannelRecord } from "../../tree/channel.ts";
import { Tree } from "../../tree/tree.ts";
import type { CanisterAddress, ReleaseAddress } from "../address.ts";
import { fewAttempts } from "../few-attempts.ts";
import type { Pieces } from "../source.ts";
import { trustingReader } from "./accepted-releases.ts";
import { ancestors } from "./chain.ts";
import { absent, ForkedChannelError } from "./channels.ts";
import { type BlsVerifier, IcfsReader, MAX_PROOF_BYTES, type Shown } from "./query-reader.ts";
import {
  type Head,
  MissingChunkError,
  type NetworkReader,
  type ReleaseReader,
  type VerifiedHeader,
} from "./release-reader.ts";

/**
 * A reader for the network.
 *
 * @param requestTimeout milliseconds without a byte after which a request fails
 * @param shown what head() returns; default: the newest release, and the channel that the address names
 */
export function openReader(
  address: ReleaseAddress,
  requestTimeout: number,
  blsVerify?: BlsVerifier,
  shown: Shown = address.channel === undefined ? "release" : { channel: address.channel },
): NetworkReader {
  // Query signatures are off: everything that this agent fetches is certified or hash-chained, which is stronger.
  const options = { ...address, verifyQuerySignatures: false, requestTimeout };
  const proofAgent = createAgent({ ...options, mostBytes: MAX_PROOF_BYTES });
  const { canister, rootKey } = address;
  return new IcfsReader(createAgent(options), canister, rootKey, blsVerify, proofAgent, shown);
}

/** A release that the subnet's certificate proves, directly or through its successors. */
export interface ProvenRelease extends VerifiedHeader {
  /** When the subnet certified it, or its newest successor. */
  readonly certifiedAt: Date;
  /** Its newest successor, or itself. */
  readonly newest: VerifiedHeader;
  /** The last record of the channel that points to it, if a channel was requested. */
  readonly channel: ChannelRecord | undefined;
  readonly evidence: Evidence;
}

/** What proves a release without asking again (lib/source/kept.ts). */
export interface Evidence {
  /** The proof of the newest release (Head.proof). */
  readonly proof: Uint8Array;
  /**
   * The headers below the newest release's, newest first, down to the one that is proved. Undefined: there are too many to hold,
   * and only the network can prove the release.
   */
  readonly headers: readonly Uint8Array[] | undefined;
}

/**
 * Bytes of headers that are held, and kept, for one release. A header has 33 bytes for each of up to a thousand pieces of its
 * manifest. The headers of ten thousand releases, which a publisher can make in as many seconds, may have 3 MB or 330 MB.
 */
const MOST_HEADER_BYTES = 16 * 1024 * 1024;

/**
 * The newest release.
 *
 * @param remember as of trustingReader()
 * @throws UserError when there is none yet; others as ReleaseReader.head()
 */
export async function openHead(
  address: CanisterAddress,
  reader: ReleaseReader,
  remember = true,
): Promise<Head> {
  const trusting = trustingReader(reader, address, remember);
  const head = await fewAttempts(() => trusting.head());
  if (head === undefined) {
    throw new UserError(
      `canister ${address.canister.toText()} has no release yet: \`icfs publish DIR ${address.canister.toText()}\` makes one`,
    );
  }
  return head;
}

/**
 * The release that the address names, or the newest.
 *
 * @param remember as of trustingReader()
 * @throws as openHead(); UserError when there was never such a release
 */
export async function proveRelease(
  address: ReleaseAddress,
  reader: ReleaseReader,
  remember = true,
): Promise<ProvenRelease> {
  return proveBelow(await openHead(address, reader, remember), address, reader);
}

/**
 * proveRelease(), from a head that this host accepts.
 *
 * @param before an earlier proof of the same release: only newer headers are fetched
 */
export function proveBelow(
  head: Head,
  address: ReleaseAddress,
  reader: Pick<ReleaseReader, "headers">,
  before?: ProvenRelease,
): Promise<ProvenRelease> {
  return fewAttempts(() => proven(head, address, reader, before));
}

/** proveRelease(), from an earlier proof. @throws VerificationError, FormatError; UserError when it proves another release */
export async function restoreRelease(
  address: ReleaseAddress,
  { proof, headers = [] }: Evidence,
  reader: ReleaseReader,
): Promise<ProvenRelease> {
  const head = await trustingReader(reader, address).restore(proof);
  const newest = head.header.number - 1;
  return proven(head, address, {
    headers: async (from, count) => headers.slice(newest - from, newest - from + count),
  });
}

async function proven(
  head: Head,
  named: ReleaseAddress,
  reader: Pick<ReleaseReader, "headers">,
  before?: ProvenRelease,
): Promise<ProvenRelease> {
  const { header, hash, certifiedAt, proof } = head;
  const newest = { header, hash };
  const channel = named.channel === undefined ? undefined : recordOf(head, named, named.channel);
  const address = channel === undefined ? named : { ...named, release: channel.release.number };
  const isSame = address.release !== undefined && before?.header.number === address.release;
  if (isSame && before.newest.header.number <= header.number) {
    const since = await provenBelow(head, { ...address, release: before.newest.header.number }, reader);
    if (since.hash.equals(before.newest.hash)) {
      mustBeNamed(before, channel);
      const headers = joined(since.headers, before.evidence.headers);
      return { ...before, certifiedAt, newest, channel, evidence: { proof, headers } };
    }
  }
  const { headers, ...release } = await provenBelow(head, address, reader);
  mustBeNamed(release, channel);
  return { ...release, certifiedAt, newest, channel, evidence: { proof, headers } };
}

type NamingRecord = ChannelRecord & { readonly release: object };

/** A channel's record, which points to a release. @throws AbsentChannelError when the channel does not exist, or has been deleted */
function recordOf({ channels }: Head, { canister }: CanisterAddress, name: string): NamingRecord {
  const record = channels?.get(name)?.record;
  if (record?.release === undefined) throw absent(canister, name);
  return record as NamingRecord;
}

/** Checks that a proven release is the one that the channel's record has the hash of. @throws ForkedChannelError */
function mustBeNamed({ header, hash }: VerifiedHeader, channel: NamingRecord | undefined): void {
  if (channel?.release === undefined || hash.equals(channel.release.header)) return;
  throw new ForkedChannelError(
    `channel ${channel.name} stands for another release ${header.number} than the one in the canister's chain`,
  );
}

/** releaseBelow(), with the headers that prove it, as in Evidence. */
async function provenBelow(
  head: Head,
  address: ReleaseAddress,
  reader: Pick<ReleaseReader, "headers">,
): Promise<VerifiedHeader & Pick<Evidence, "headers">> {
  let headers: readonly Uint8Array[] | undefined = [];
  const release = await releaseBelow(head, address, {
    async headers(from, count, accept) {
      const page = await reader.headers(from, count, accept);
      headers = joined(headers, page);
      return page;
    },
  });
  return { ...release, headers };
}

/** Both lists of headers in one, as in Evidence: undefined when there are too many. */
function joined(above: Evidence["headers"], below: Evidence["headers"]): Evidence["headers"] {
  if (above === undefined || below === undefined) return undefined;
  const all = [...above, ...below];
  return all.reduce((sum, { length }) => sum + length, 0) > MOST_HEADER_BYTES ? undefined : all;
}

/**
 * A proven release's tree.
 *
 * @param pieces where the manifest's pieces may be kept
 * @throws as openHead(); UserError when the canister no longer holds it
 */
export async function openTree(
  address: ReleaseAddress,
  { header, evidence }: ProvenRelease,
  reader: ReleaseReader,
  pieces?: Pieces,
): Promise<Tree> {
  try {
    const manifest = await fewAttempts(() => reader.manifest(header, pieces));
    return await inSteps(Tree.growing(manifest, BigInt(header.publishedAt.getTime()) * 1_000_000n));
  } catch (error) {
    // The newest release is always held: otherwise the canister is broken, or somebody in between lies.
    if (!(error instanceof MissingChunkError) || evidence.headers?.length === 0) throw error;
    throw notHeld(address.canister, header.number);
  }
}

/** The error about a release whose chunks the canister no longer holds. */
export function notHeld(canister: Principal, number: number): UserError {
  return new UserError(
    `release ${number} of ${canister} is not held any more: the canister has dropped its files, according to an answer that nobody has signed. \`icfs releases ${canister}\` lists those it holds, by a node's signature, and \`icfs keep ${canister} NUMBER\` makes it hold one for good`,
  );
}

/** The named release's header, proved by the head's certificate through the parents in between. One attempt. */
export async function releaseBelow(
  head: Head,
  { canister, release = head.header.number }: ReleaseAddress,
  reader: Pick<ReleaseReader, "headers">,
): Promise<VerifiedHeader> {
  const newest = head.header.number;
  if (release === newest) return { header: head.header, hash: head.hash };
  if (release > newest) {
    throw new UserError(
      `${canister} has no release ${release}: the newest is ${newest}; \`icfs releases ${canister}\` lists them`,
    );
  }
  let last: VerifiedHeader = head;
  for await (const ancestor of ancestors(head, reader, release)) last = ancestor;
  return { header: last.header, hash: last.hash };
}
