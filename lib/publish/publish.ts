/**
 * A directory becomes a canister's newest release: scan, chunk, ask what is missing, upload that, publish. Until the
 * last step nobody sees a difference, and a canister that has the tree already is left alone.
 */
import type { HttpAgent } from "@dfinity/agent";
import type { Principal } from "@dfinity/principal";
import { icfsCanister, type PublishResult } from "../canister.ts";
import { UserError } from "../errors.ts";
import { agentMessage, isRefusedSender, isTransient } from "../ic/agent-error.ts";
import type { Head, Source } from "../source/source.ts";
import { areNone } from "../tree/diff.ts";
import { decodeHeader, headerHash } from "../tree/header.ts";
import { megabytes } from "../units.ts";
import { checkNote, planPublication } from "./plan.ts";
import type { Progress } from "./progress.ts";
import { missingChunks, uploadChunks } from "./upload.ts";

export interface Publication {
  /** False when the canister had the tree already, and nothing was done. */
  readonly changed: boolean;
  /** The release that has the tree: a new one, or the newest when nothing changed. */
  readonly release: number;
  /** SHA-256 of its header, in hexadecimal. */
  readonly header: string;
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
  /** Chunks of the release, the manifest's own included. */
  readonly chunks: number;
  readonly chunksUploaded: number;
  readonly bytesUploaded: number;
}

export interface PublishOptions {
  readonly directory: string;
  readonly canister: Principal;
  /** With the publisher's identity. */
  readonly agent: HttpAgent;
  /** To read what the canister has. */
  readonly source: Source;
  readonly note: string;
  readonly progress: Progress;
}

/** @throws UserError; nothing has been published then */
export async function publish(options: PublishOptions): Promise<Publication> {
  const { progress } = options;
  try {
    return await publishTree(options);
  } finally {
    // A bar that is not stopped keeps the process alive, and the cursor hidden.
    progress.stop();
  }
}

/** Errors of the canister, where they mean something to a publisher. */
async function explained<T>(work: Promise<T>, { agent, canister }: PublishOptions): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (!isRefusedSender(error)) throw new UserError(`the canister did not publish: ${agentMessage(error)}`);
    const principal = await agent.getPrincipal();
    throw new UserError(
      `${principal} may not publish to ${canister}: use its owner's key (--identity PEM). Nothing was published`,
    );
  }
}

async function publishTree(options: PublishOptions): Promise<Publication> {
  const { directory, source, progress } = options;
  checkNote(options.note);
  const { tree, head, differences, totals } = await planPublication(directory, source, progress);
  if (head !== undefined && areNone(differences)) {
    return { changed: false, ...named(head), ...totals, chunksUploaded: 0, bytesUploaded: 0 };
  }

  const canister = icfsCanister(options.agent, options.canister);
  const missing = await explained(missingChunks(canister, tree.chunks), options);
  const bytesUploaded = missing.reduce((sum, { size }) => sum + size, 0);
  progress.start("uploading", bytesUploaded);
  await explained(
    uploadChunks(canister, missing, (bytes) => progress.add(bytes)),
    options,
  );
  progress.stop();
  const publishing = canister.publish({
    manifest: tree.manifestPieces,
    parent: head === undefined ? [] : [head.hash],
    note: options.note,
  });
  const release = releaseNumber(await explained(publishing.catch(orUnknown), options));
  return {
    changed: true,
    release,
    header: await headerOf(source, release),
    ...totals,
    chunksUploaded: missing.length,
    bytesUploaded,
  };
}

/** Without an answer nobody knows whether the release was made; publishing again finds out, and does no harm. */
function orUnknown(error: unknown): never {
  if (!isTransient(error)) throw error;
  throw new UserError(
    `no answer to the publication (${agentMessage(error)}): publish again, which changes nothing if it was made`,
  );
}

/** The hash of a release that was just published. By now somebody may have published another on top. */
async function headerOf(source: Source, release: number): Promise<string> {
  const head = await source.head();
  if (head?.header.number === release) return named(head).header;
  const [header] = await source.headers(release, 1);
  if (header === undefined || decodeHeader(header).number !== release) {
    throw new UserError(`release ${release} was published, but the network does not show it yet`);
  }
  return headerHash(header).toString("hex");
}

function named({ header, hash }: Head): { release: number; header: string } {
  return { release: header.number, header: hash.toString("hex") };
}

function releaseNumber(result: PublishResult): number {
  if ("ok" in result) return Number(result.ok);
  const { err } = result;
  if ("conflict" in err) {
    throw new UserError(
      `conflict: somebody else published release ${err.conflict.number} meanwhile. Nothing was lost; publish again to put your tree on top of it`,
    );
  }
  if ("missing" in err) {
    throw new UserError(
      `the canister has lost ${err.missing.length} chunks that were uploaded: publish again`,
    );
  }
  throw new UserError(`the canister refused the release: ${err.invalid}`);
}

/** The result in a sentence. */
export function describePublication(publication: Publication): string {
  const { changed, release, header, files, bytes, chunksUploaded, bytesUploaded } = publication;
  const what = `${files} files, ${megabytes(bytes)}`;
  if (!changed) return `nothing changed: release ${release} (${header}) has this tree, ${what}`;
  return `published release ${release} (${header}): ${what}; uploaded ${chunksUploaded} chunks, ${megabytes(bytesUploaded)}`;
}
