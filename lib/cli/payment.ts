/**
 * The file with this user's request to the cycles ledger. It is written before the request is sent, so that nothing is paid twice
 * when the answer is lost or the installation fails. Each network has at most one request at a time; its file is deleted once the
 * canister is ready.
 */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { makeOwnDirectory } from "../directories.ts";
import { isAbsent, messageOf, UserError } from "../errors.ts";
import { parsePrincipalText } from "../ic/canister-id.ts";
import { readKept } from "../kept-file.ts";
import { replaceFile, syncDirectory } from "../replace-file.ts";
import { deployedFile } from "./deployed.ts";

export interface Payment {
  /** The principal that pays. */
  readonly owner: string;
  /** Cycles. */
  readonly amount: bigint;
  /** Nanoseconds since 1970. The ledger recognizes a repeated request by it. */
  readonly createdAt: bigint;
  /** The created canister, once it is known. */
  readonly canister?: string | undefined;
}

const MOST_BYTES = 4096;

/** The name of the file for a network's request, without making anything. Its lock is this name with `.lock` at the end. */
export function paymentFile(rootKey: Uint8Array): string {
  return `${deployedFile(rootKey)}.payment`;
}

/** Creates the directory of the file and its lock. @throws UserError */
export function preparePayment(file: string): void {
  makeOwnDirectory(dirname(file), "set XDG_STATE_HOME to another directory");
}

/**
 * The pending request; undefined when there is none.
 *
 * @throws UserError when it cannot be read, so that it is unknown whether something was paid
 */
export async function readPayment(file: string): Promise<Payment | undefined> {
  try {
    const { bytes } = await readKept(file, MOST_BYTES);
    const { owner, amount, createdAt, canister } = JSON.parse(bytes.toString());
    if (!isPrincipal(owner) || !(canister === undefined || isPrincipal(canister)))
      throw new Error("it does not name the payer");
    return { owner, amount: BigInt(amount), createdAt: BigInt(createdAt), canister };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw new UserError(
      `${file}, which says what the cycles ledger was asked for, cannot be read (${messageOf(error)}): check whether a canister was paid for (\`icp cycles balance --network ic\`), and remove the file`,
    );
  }
}

/** Resolves once the request is on disk. @throws Error with the system's code */
export async function writePayment(file: string, payment: Payment): Promise<void> {
  const { owner, amount, createdAt, canister } = payment;
  await replaceFile(
    file,
    `${JSON.stringify({ owner, amount: String(amount), createdAt: String(createdAt), canister })}\n`,
  );
  await syncDirectory(dirname(file));
}

export async function forgetPayment(file: string): Promise<void> {
  await rm(file, { force: true });
  await syncDirectory(dirname(file));
}

function isPrincipal(value: unknown): value is string {
  return typeof value === "string" && parsePrincipalText(value)?.toText() === value;
}
