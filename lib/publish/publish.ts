/**
 * Makes a directory the newest release of a canister: scans, chunks, asks what is missing, uploads that, and publishes. Until the
 * last step nobody sees a difference, and a canister that already has the tree is left alone.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { UserError } from "../errors.ts";
import { type IcfsCanister, icfsCanister } from "../icfs-canister.ts";
import { describeFinding } from "../lint/finding.ts";
import { type Deed, explained } from "../refusals.ts";
import type { ReleaseReader, VerifiedHeader } from "../source/icfs/release-reader.ts";
import { areNone } from "../tree/diff.ts";
import { sizeText } from "../units.ts";
import type { UploadChunk } from "./chunker.ts";
import { patientReader } from "./patience.ts";
import { checkNote, type PlanOptions, planPublication } from "./plan.ts";
import { describePrivateFiles } from "./policy.ts";
import { withQuickPut } from "./quick-put.ts";
import { makeRelease } from "./release.ts";
import { missingChunks, uploadChunks } from "./upload.ts";

export interface Publication {
  /** False when the canister already had the tree, and nothing was done. */
  readonly changed: boolean;
  /** The release with this tree: a new one, or the newest when nothing changed. */
  readonly release: number;
  /** SHA-256 of its header, in hexadecimal. */
  readonly header: string;
  readonly files: number;
  /** Total size of all files, in bytes. */
  readonly bytes: number;
  /** Chunks of the release, including the manifest's own. */
  readonly chunks: number;
  readonly chunksUploaded: number;
  readonly bytesUploaded: number;
  /** Files that others on this host cannot read. */
  readonly privateFiles: readonly string[];
}

export interface PublishOptions extends PlanOptions {
  readonly canister: Principal;
  /** Signs as the publisher. */
  readonly agent: HttpAgent;
  /** Reads the canister's releases. */
  readonly source: ReleaseReader;
  readonly note: string;
  /** Called with further warnings for the publisher, as sentences. */
  readonly warn: (message: string) => void;
  /** Rejects when the canister says that the publisher lacks the right (permission.ts). Nothing is read before it resolves. */
  readonly permitted: Promise<unknown>;
  /** Asked after warnings; resolves to whether to publish nevertheless. */
  readonly confirm: () => Promise<boolean>;
}

const PUBLISHING: Deed = { what: "publish", by: "publisher" };

/** @throws UserError. Unless its message says that a release was made, or may have been, nothing has been published */
export async function publish(options: PublishOptions): Promise<Publication> {
  const { progress } = options;
  const over = new AbortController();
  try {
    return await publishTree(options, over.signal);
  } finally {
    // Aborts queries that still run while reading the directory has failed.
    over.abort();
    // A running bar keeps the process alive, and the cursor hidden.
    progress.stop();
  }
}

async function publishTree(options: PublishOptions, over: AbortSignal): Promise<Publication> {
  const { directory, progress, warn } = options;
  const source = patientReader(options.source, over);
  checkNote(options.note);
  const plan = await planPublication(options, source, options.permitted);
  const { tree, seen, head, differences } = plan;
  const totals = { ...plan.totals, privateFiles: plan.privateFiles.map(({ path }) => path) };
  const said = describePrivateFiles(plan.privateFiles);
  if (said !== undefined) warn(said);
  if (head !== undefined && areNone(differences)) {
    return { changed: false, ...releaseAndHeader(head), ...totals, chunksUploaded: 0, bytesUploaded: 0 };
  }

  for (const finding of plan.findings) warn(describeFinding(finding));
  if (plan.loss !== undefined) {
    warn(plan.loss);
    // A user who allows an empty tree has already confirmed it.
    if (totals.files > 0 && !(await options.confirm())) throw new UserError("nothing was published");
  }

  const { agent } = options;
  const canister = icfsCanister(agent, options.canister);
  const quick = withQuickPut(canister, agent, options.canister);
  let chunksUploaded = 0;
  let bytesUploaded = 0;
  const startUpload = (to: IcfsCanister, chunks: readonly UploadChunk[]) => {
    const bytes = chunks.reduce((sum, { size }) => sum + size, 0);
    progress.start("uploading", bytes);
    chunksUploaded += chunks.length;
    bytesUploaded += bytes;
    return uploadChunks(to, chunks, (sent) => progress.add(sent));
  };
  const work = async () => {
    const publisher = await agent.getPrincipal();
    const missing = await missingChunks(canister, tree.chunks);
    // The manifest's pieces, the last of all chunks, are sent first: being small they are answered soon, and the last answer is
    // then to a call of usual size.
    const pieces = new Set(tree.chunks.slice(tree.manifest.chunks.length));
    const first = startUpload(
      quick,
      missing.toSorted((a, b) => Number(pieces.has(b)) - Number(pieces.has(a))),
    );
    const isEarly = await Promise.race([first.done.then(() => false), first.nearEnd.then(() => true)]);
    // After an early request, chunks reported missing may still be under way: wait for their answers first.
    let underWay = isEarly ? first : undefined;
    if (!isEarly) progress.stop();
    const upload = async (chunks: readonly UploadChunk[]) => {
      // Chunks that are missing although a call was answered are sent again in calls whose answers are verified.
      const { done } = underWay ?? startUpload(canister, chunks);
      underWay = undefined;
      await done;
      progress.stop();
    };
    try {
      return await makeRelease({
        canister,
        source,
        publisher,
        tree,
        parent: head,
        note: options.note,
        upload,
        ready: () => seen.throwIfChanged(directory, "and no release was made"),
      });
    } finally {
      first.end();
    }
  };
  return {
    changed: true,
    ...releaseAndHeader(await explained(work(), agent, options.canister, PUBLISHING)),
    ...totals,
    chunksUploaded,
    bytesUploaded,
  };
}

function releaseAndHeader({ header, hash }: VerifiedHeader): { release: number; header: string } {
  return { release: header.number, header: hash.toString("hex") };
}

/** The result in a sentence. */
export function describePublication(publication: Publication): string {
  const { changed, release, header, files, bytes, chunksUploaded, bytesUploaded } = publication;
  const what = `${files} files, ${sizeText(bytes)}`;
  if (!changed) return `nothing changed: release ${release} (${header}) has this tree, ${what}`;
  return `published release ${release} (${header}): ${what}; uploaded ${chunksUploaded} chunks, ${sizeText(bytesUploaded)}`;
}
