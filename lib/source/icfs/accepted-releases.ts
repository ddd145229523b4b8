/**
 * What this host has accepted from a canister before. A certificate proves that a release was the newest one lately;
 * that it is the successor of what was served here yesterday is proved by the chain of parents: a release with the same
 * number must be the same, a higher one must lead back to the accepted one, a lower one is a replay.
 *
 * One small file a canister, kept with the host's state (not with the caches: clearing those must not forget this).
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Principal } from "@dfinity/principal";
import { makeDirectory, stateDirectory } from "../../directories.ts";
import { messageOf, UserError } from "../../errors.ts";
import { VerificationError } from "../../ic/certificate.ts";
import type { CanisterAddress } from "../address.ts";
import { ancestors } from "./chain.ts";
import type { Head, ReleaseReader } from "./release-reader.ts";

export interface AcceptedRelease {
  readonly canister: string;
  /** SHA-256 of the network's root key: the same canister id elsewhere is another canister. */
  readonly network: string;
  /** Where the network was when the release was accepted; not there in files of older versions. */
  readonly url?: string;
  readonly number: number;
  /** SHA-256 of the release's header, in hexadecimal. */
  readonly header: string;
}

function directory(): string {
  return join(stateDirectory("/var/lib/icfs"), "trust");
}

/** What this host has accepted, canister by canister. @throws UserError */
export function acceptedReleases(): AcceptedRelease[] {
  return files().map((name) => read(join(directory(), name))!);
}

/** Whether this host has accepted a release from a canister on the network of that root key. @throws UserError */
export function hasAccepted(canister: Principal, rootKey: Uint8Array): boolean {
  return read(fileOf(placeOf(canister, rootKey))) !== undefined;
}

/**
 * Forgets what was accepted from a canister, on every network. Returns what that was, with undefined for a file that could not be
 * read. @throws UserError
 */
export function resetTrust(canister: Principal): (AcceptedRelease | undefined)[] {
  // By name: a file that cannot be read any more is what somebody may want to be rid of.
  const found = files().filter((name) => name.startsWith(`${canister.toText()}-`));
  return found.map((name) => {
    const file = join(directory(), name);
    const accepted = readable(file);
    rmSync(file, { force: true });
    return accepted;
  });
}

function readable(file: string): AcceptedRelease | undefined {
  try {
    return read(file);
  } catch {
    return undefined;
  }
}

function files(): string[] {
  try {
    return readdirSync(directory()).filter((name) => name.endsWith(".json"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new UserError(`cannot read what was accepted before: ${messageOf(error)}`);
  }
}

/**
 * A reader whose head is refused unless it is what this host accepted before or descends from it, and is remembered.
 * Its head() throws VerificationError when it does not, and UserError when the host's state cannot be read or written.
 *
 * @param remember false: only looks, and leaves what this host has accepted as it is
 */
export function trustingReader(
  reader: ReleaseReader,
  address: CanisterAddress,
  remember = true,
): ReleaseReader {
  return {
    async head() {
      const head = await reader.head();
      await checkTrust(address, head, reader, remember);
      return head;
    },
    async restore(proof) {
      const head = await reader.restore(proof);
      checkKept(address, head);
      return head;
    },
    headers: (from, count) => reader.headers(from, count),
    manifest: (header, pieces) => reader.manifest(header, pieces),
    chunk: (reference, received) => reader.chunk(reference, received),
  };
}

/**
 * The kept release may be older than the newest accepted one, for example after an `icfs ls` of the newer one. It is let through:
 * this host has accepted it once, and the chain cannot be walked without the network. After `icfs trust reset` no kept release is
 * let through.
 */
function checkKept({ canister, rootKey }: CanisterAddress, { header, hash }: Head): void {
  const before = read(fileOf(placeOf(canister, rootKey)));
  const isKnown =
    before !== undefined &&
    (header.number < before.number ||
      (header.number === before.number && hash.toString("hex") === before.header));
  if (!isKnown) {
    throw new VerificationError(
      `release ${header.number} was kept on this host, and is not what it has accepted; \`icfs trust show\` says what that is`,
    );
  }
}

/** @param head undefined before the first release */
async function checkTrust(
  { canister, rootKey, network }: CanisterAddress,
  head: Head | undefined,
  reader: ReleaseReader,
  remember: boolean,
): Promise<void> {
  const place = placeOf(canister, rootKey);
  const file = fileOf(place);
  const before = read(file);
  if (before !== undefined) {
    try {
      await mustDescend(head, before, reader);
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error;
      throw new VerificationError(
        `${error.message}. If the canister was reinstalled on purpose, run \`icfs trust reset ${place.canister}\``,
      );
    }
  }
  if (!remember || head === undefined || before?.number === head.header.number) return;
  const { url } = network;
  await write(file, { ...place, url, number: head.header.number, header: head.hash.toString("hex") });
}

async function mustDescend(
  head: Head | undefined,
  accepted: AcceptedRelease,
  reader: ReleaseReader,
): Promise<void> {
  if (head === undefined) {
    throw new VerificationError(
      `the canister has no release, but this host accepted release ${accepted.number} before`,
    );
  }
  const { number } = head.header;
  if (number < accepted.number) {
    throw new VerificationError(
      `release ${number} is older than release ${accepted.number}, which this host accepted before: an old answer is replayed, or history was rewritten`,
    );
  }
  if ((await hashOf(accepted.number, head, reader)).toString("hex") !== accepted.header) {
    throw new VerificationError(
      `release ${accepted.number} is not the one that this host accepted before: this is a fork`,
    );
  }
}

/** The header hash of release `number`, which is the head or below it. */
async function hashOf(number: number, head: Head, reader: ReleaseReader): Promise<Buffer> {
  if (number === head.header.number) return head.hash;
  let child = head.header;
  // The header itself is not needed: the one above has its hash.
  for await (const { header } of ancestors(head, reader, number + 1)) child = header;
  // Only release 1 has no parent (decodeHeader), and `child` is above `number`.
  return child.parent!;
}

function placeOf(canister: Principal, rootKey: Uint8Array): Pick<AcceptedRelease, "canister" | "network"> {
  return { canister: canister.toText(), network: createHash("sha256").update(rootKey).digest("hex") };
}

function fileOf({ canister, network }: Pick<AcceptedRelease, "canister" | "network">): string {
  return join(directory(), `${canister}-${network.slice(0, 16)}.json`);
}

function read(file: string): AcceptedRelease | undefined {
  try {
    const accepted = JSON.parse(readFileSync(file, "utf8"));
    if (!Number.isSafeInteger(accepted.number) || typeof accepted.header !== "string") {
      throw new Error("it does not say which release");
    }
    return accepted;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const canister = basename(file).split("-").slice(0, -1).join("-");
    throw new UserError(
      `${file}, which says what this host accepted before, cannot be read: ${messageOf(error)}; ` +
        `if it is damaged, \`icfs trust reset ${canister}\` forgets it`,
    );
  }
}

async function write(file: string, accepted: AcceptedRelease): Promise<void> {
  try {
    makeDirectory(directory(), 0o700);
    await replace(file, `${JSON.stringify(accepted)}\n`);
  } catch (error) {
    throw new UserError(
      `cannot remember which release was accepted: ${messageOf(error)}; make ${directory()} writable, or set XDG_STATE_HOME`,
    );
  }
}

/** Replaces a file as a whole. It is on disk before it gets its name: a power cut must not leave an empty one behind. */
async function replace(file: string, content: string): Promise<void> {
  const temporary = `${file}.${process.pid}`;
  try {
    await writeFile(temporary, content, { flush: true });
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
