/**
 * The last step of a publication: the canister makes the release, exactly once. The call may get no answer, and then
 * nobody knows whether it was executed, or will be; but a release goes on top of one parent only. So what stands on the
 * parent afterwards says it: nothing yet (then the call is made again, and at most one of the two is executed), our own
 * release, or somebody else's.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Principal } from "@dfinity/principal";
import type { IcfsCanister, PublishResult } from "../canister.ts";
import { messageOf, UserError } from "../errors.ts";
import { agentMessage, isTransient } from "../ic/agent-error.ts";
import { ancestors, type VerifiedHeader } from "../source/chain.ts";
import type { Head, Source } from "../source/source.ts";
import type { Header } from "../tree/header.ts";
import type { Chunk, ChunkedTree } from "./chunker.ts";
import { patiently } from "./patience.ts";

export interface ReleaseRequest {
  readonly canister: Pick<IcfsCanister, "publish">;
  readonly source: Source;
  readonly publisher: Principal;
  /** All of its chunks have been uploaded. */
  readonly tree: ChunkedTree;
  /** What it goes on top of. */
  readonly parent: Head | undefined;
  readonly note: string;
  /** Uploads chunks that are gone again. */
  readonly upload: (chunks: readonly Chunk[]) => Promise<void>;
}

/** Chunks that wait to be published are kept for a day, so more rounds than this mean that something else is wrong. */
const UPLOAD_ROUNDS = 3;
/** A query may be answered by a node that is a few blocks behind. */
const LOOKS = 6;
const LOOK_PAUSE_MS = 500;

/** Makes the release and returns its header. @throws UserError, or what the canister's rejection throws */
export async function makeRelease(request: ReleaseRequest): Promise<VerifiedHeader> {
  for (let round = 1; ; round++) {
    const answer = await askOnce(request);
    if ("header" in answer) return answer;
    if ("ok" in answer) return published(request, Number(answer.ok));
    const { err } = answer;
    if ("conflict" in err) {
      const found = await standsOnParent(request, Number(err.conflict.number));
      if (found !== undefined && isOurs(found.header, request)) return found;
      throw new UserError(
        `conflict: somebody else published release ${err.conflict.number} meanwhile. Nothing was lost; publish again to put your tree on top of it`,
      );
    }
    if ("invalid" in err) throw new UserError(`the canister refused the release: ${err.invalid}`);
    if (round === UPLOAD_ROUNDS) {
      throw new UserError(
        `the canister has lost ${err.missing.length} chunks that were uploaded: publish again`,
      );
    }
    await request.upload(named(err.missing, request.tree.chunks));
  }
}

/** The canister's answer; or our release, found without one. */
async function askOnce(request: ReleaseRequest): Promise<PublishResult | VerifiedHeader> {
  const { canister, tree, parent, note } = request;
  const publish = () =>
    canister.publish({
      manifest: tree.manifestPieces,
      parent: parent === undefined ? [] : [parent.hash],
      note,
    });
  let unanswered = false;
  try {
    return await patiently(async () => {
      if (unanswered) {
        const found = await standsOnParent(request, 0);
        // Somebody else's: the canister says `conflict`.
        if (found !== undefined && isOurs(found.header, request)) return found;
      }
      unanswered = true;
      return publish();
    });
  } catch (error) {
    if (!isTransient(error)) throw error;
    throw new UserError(
      `no answer to the publication (${agentMessage(error)}): publish again, which changes nothing if it was made`,
    );
  }
}

/** The release that was made, once the network shows it. */
async function published(request: ReleaseRequest, number: number): Promise<VerifiedHeader> {
  try {
    const found = await standsOnParent(request, number);
    if (found !== undefined && isOurs(found.header, request)) return found;
  } catch (error) {
    throw new UserError(`release ${number} was published, but cannot be read: ${messageOf(error)}`);
  }
  throw new UserError(`release ${number} was published, but the network does not show it yet`);
}

/**
 * The release whose parent is the request's, as the network shows it, which is asked again until the newest release has
 * the number `newest` at least; undefined when nothing stands on the parent.
 */
async function standsOnParent(
  { source, parent }: ReleaseRequest,
  newest: number,
): Promise<VerifiedHeader | undefined> {
  let head = await source.head();
  for (let looks = 1; (head?.header.number ?? 0) < newest && looks < LOOKS; looks++) {
    await sleep(LOOK_PAUSE_MS);
    head = await source.head();
  }
  const number = (parent?.header.number ?? 0) + 1;
  if (head === undefined || head.header.number < number) return undefined;
  // By now somebody may have published others on top.
  let found: VerifiedHeader = head;
  for await (const below of ancestors(head, source, number)) found = below;
  return found;
}

/** Whether a release is what the request asks for. */
function isOurs(header: Header, { tree, publisher, parent, note }: ReleaseRequest): boolean {
  return (
    sameBytes(header.parent, parent?.hash) &&
    header.manifest.chunks.length === tree.manifestPieces.length &&
    header.manifest.chunks.every((piece, i) => sameBytes(piece, tree.manifestPieces[i])) &&
    sameBytes(header.publisher, publisher.toUint8Array()) &&
    header.note === note
  );
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}

/** The tree's chunks with these hashes. */
function named(hashes: readonly Uint8Array[], chunks: readonly Chunk[]): Chunk[] {
  const key = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const wanted = new Set(hashes.map(key));
  return chunks.filter(({ sha256 }) => wanted.has(key(sha256)));
}
