/**
 * The last step of a publication or rollback: the canister makes the release, exactly once. The call may get no answer, so that
 * it is unknown whether it was or will be executed; but a parent gets only one child. So the child of the parent tells: none yet
 * (then the call is repeated, and at most one of the two is executed), our own release, or somebody else's.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Principal } from "@icp-sdk/core/principal";
import { messageOf, UserError } from "../errors.ts";
import { isHopeless, isTransient, NoAnswerError } from "../ic/call-errors.ts";
import type { IcfsCanister, PublishResult } from "../icfs-canister.ts";
import { ancestors } from "../source/icfs/chain.ts";
import type { ReleaseReader, VerifiedHeader } from "../source/icfs/release-reader.ts";
import { hexOf } from "../tree/hash.ts";
import type { Header } from "../tree/header.ts";
import type { ChunkedTree, UploadChunk } from "./chunker.ts";
import { LOOK_PAUSE_MS, LOOKS, patiently } from "./patience.ts";

/** The common part of all requests for a release. */
interface CommonRequest {
  readonly source: ReleaseReader;
  readonly publisher: Principal;
  /** The release to build on; undefined for the first. */
  readonly parent: VerifiedHeader | undefined;
  readonly note: string;
}

export interface ReleaseRequest extends CommonRequest {
  readonly canister: Pick<IcfsCanister, "publish">;
  /** Its chunks are uploaded, or about to arrive. */
  readonly tree: ChunkedTree;
  /** Uploads chunks that are gone again, or waits for those still under way. */
  readonly upload: (chunks: readonly UploadChunk[]) => Promise<void>;
  /** Awaited before each request for the release. @throws Error to prevent it */
  readonly ready: () => Promise<void>;
}

export interface RollbackRequest extends CommonRequest {
  readonly canister: Pick<IcfsCanister, "rollback">;
  /** The release whose tree the new one gets. */
  readonly to: VerifiedHeader;
}

interface Request extends CommonRequest {
  readonly call: (parent: [] | [Uint8Array]) => Promise<PublishResult>;
  /** The hashes of the manifest's pieces. */
  readonly manifest: readonly Uint8Array[];
  readonly upload: (hashes: readonly Uint8Array[]) => Promise<void>;
  readonly ready: () => Promise<void>;
  /** What to do when somebody else was quicker, and when the result is unknown. */
  readonly advice: { readonly conflict: string; readonly unanswered: string };
}

/**
 * The first round may be too early, then the manifest's pieces may be missing, then the chunks that they name. More rounds mean
 * that something else is wrong, since uploaded chunks are kept for a day.
 */
const ROUNDS = 4;

/** Makes the release and returns its header. @throws UserError, or what the canister's rejection throws */
export function makeRelease({
  canister,
  tree,
  upload,
  ready,
  ...common
}: ReleaseRequest): Promise<VerifiedHeader> {
  const manifest = tree.manifestPieces;
  return make({
    ...common,
    call: (parent) => canister.publish({ manifest, parent, note: common.note }),
    manifest,
    upload: (hashes) => upload(chunksOf(tree, hashes)),
    ready,
    advice: {
      conflict: "Nothing was lost; publish again to put your tree on top of it",
      unanswered: "publish again, which changes nothing if it was made",
    },
  });
}

/** makeRelease() with the tree of a release that is still held. @throws as makeRelease() */
export function rollBack({ canister, to, ...common }: RollbackRequest): Promise<VerifiedHeader> {
  return make({
    ...common,
    call: (parent) => canister.rollback({ to: BigInt(to.header.number), parent, note: common.note }),
    manifest: to.header.manifest.chunks,
    // A held release has all its chunks.
    upload: async () => {},
    ready: async () => {},
    advice: {
      conflict: "Nothing was changed; look at `icfs releases`, and roll back again if that is still right",
      unanswered: "`icfs releases` shows whether it was made",
    },
  });
}

async function make(request: Request): Promise<VerifiedHeader> {
  for (let round = 1; ; round++) {
    await request.ready();
    const answer = await askOnce(request);
    if ("header" in answer) return answer;
    if ("ok" in answer) return published(request, Number(answer.ok));
    const { err } = answer;
    if ("conflict" in err) {
      const found = await standsOnParent(request, Number(err.conflict.number));
      if (found !== undefined && isOurs(found.header, request)) return found;
      throw new UserError(
        `conflict: somebody else published release ${err.conflict.number} meanwhile. ${request.advice.conflict}`,
      );
    }
    if ("invalid" in err) throw new UserError(`the canister refused the release: ${err.invalid}`);
    if (round === ROUNDS) {
      throw new UserError(
        `the canister has lost ${err.missing.length} chunks that were uploaded: publish again`,
      );
    }
    await request.upload(err.missing);
  }
}

/** The canister's answer; or our own release, found when no answer came. */
async function askOnce(request: Request): Promise<PublishResult | VerifiedHeader> {
  const { call, parent, advice } = request;
  let unanswered = false;
  try {
    return await patiently(async () => {
      if (unanswered) {
        const found = await standsOnParent(request, 0).catch(asUnanswered);
        // Otherwise it is somebody else's, and the next attempt gets `conflict`.
        if (found !== undefined && isOurs(found.header, request)) return found;
      }
      unanswered = true;
      return call(parent === undefined ? [] : [parent.hash]);
    });
  } catch (error) {
    if (!isTransient(error) && !isHopeless(error)) throw error;
    throw new UserError(`no answer to the request for a release (${messageOf(error)}): ${advice.unanswered}`);
  }
}

/** The child of the parent cannot be read: whatever the reason, it is unknown whether the release was made. */
function asUnanswered(error: unknown): never {
  throw error instanceof UserError || isHopeless(error)
    ? error
    : new NoAnswerError(messageOf(error), { cause: error });
}

/** The new release, once the network shows it. */
async function published(request: Request, number: number): Promise<VerifiedHeader> {
  try {
    const found = await standsOnParent(request, number);
    if (found !== undefined && isOurs(found.header, request)) return found;
  } catch (error) {
    throw new UserError(`release ${number} was made, but cannot be read: ${messageOf(error)}`);
  }
  throw new UserError(`release ${number} was made, but the network does not show it yet`);
}

/**
 * The child of the request's parent; undefined when there is none. Asks the network again until its newest release has at least
 * the number `newest`.
 */
async function standsOnParent(
  { source, parent }: CommonRequest,
  newest: number,
): Promise<VerifiedHeader | undefined> {
  let head = await source.head();
  for (let looks = 1; (head?.header.number ?? 0) < newest && looks < LOOKS; looks++) {
    await sleep(LOOK_PAUSE_MS);
    head = await source.head();
  }
  const number = (parent?.header.number ?? 0) + 1;
  if (head === undefined || head.header.number < number) return undefined;
  // Others may have published on top of it by now.
  let found: VerifiedHeader = head;
  for await (const below of ancestors(head, source, number)) found = below;
  return found;
}

/** Whether a release is the requested one. */
function isOurs(header: Header, { manifest, publisher, parent, note }: Request): boolean {
  return (
    sameBytes(header.parent, parent?.hash) &&
    header.manifest.chunks.length === manifest.length &&
    header.manifest.chunks.every((piece, i) => sameBytes(piece, manifest[i])) &&
    sameBytes(header.publisher, publisher.toUint8Array()) &&
    header.note === note
  );
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}

/** The tree's chunks with these hashes. */
function chunksOf({ chunks }: ChunkedTree, hashes: readonly Uint8Array[]): UploadChunk[] {
  const wanted = new Set(hashes.map(hexOf));
  return chunks.filter(({ sha256 }) => wanted.has(hexOf(sha256)));
}
