/** What an icfs canister's refusals (canister/main.mo) mean for the caller, and what to do then. */
import { existsSync } from "node:fs";
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { messageOf, UserError } from "./errors.ts";
import { isTransient, RejectError } from "./ic/call-errors.ts";
import { defaultIdentityFile } from "./ic/identity/identity.ts";
import { limitText } from "./units.ts";

/**
 * The texts by which refusals are distinguished, since a trap has only a text. They come from canister/main.mo; from
 * Motoko's runtime, for a sender that `inspect` refuses; and from the IC, if a canister refuses a message without a trap.
 */
export const REFUSALS = {
  private: "not authorised: this canister is private",
  sender: "canister_inspect_message explicitly refused message",
  message: "Canister rejected the message",
} as const;

export interface Deed {
  /** As in "the canister did not publish", "PRINCIPAL may not publish". */
  readonly what: string;
  /** Who can do it. Owners can do everything. */
  readonly by: "owner" | "publisher" | "promoter" | "reader";
}

/** Waits for a call of `canister` that `agent` signs. @throws UserError, in place of any other error */
export async function explained<T>(
  work: Promise<T>,
  agent: HttpAgent,
  canister: Principal,
  { what, by }: Deed,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof UserError) throw error;
    const caller = await agent.getPrincipal();
    if (isRefusedSender(error)) {
      throw refusedSender(caller, canister, { what, by });
    }
    const refusal = refusalToRead(error, caller, canister);
    if (refusal !== undefined) throw new UserError(refusal);
    // Owners and promoters make a single call, and only its answer may be lost. (Publications find out what happened to them.)
    if ((by === "owner" || by === "promoter") && isTransient(error) && !(error instanceof RejectError)) {
      throw new UserError(
        `no answer says whether the canister did ${what} (${messageOf(error)}): run the command again; doing it twice does no harm`,
      );
    }
    throw new UserError(`the canister did not ${what}: ${inUnits(messageOf(error))}`);
  }
}

/** The error for a `caller` without permission. */
export function refusedSender(caller: Principal, canister: Principal, { what, by }: Deed): UserError {
  return new UserError(`${caller} may not ${what} on ${canister}: ${remedy(by, caller, canister)}`);
}

/** Whether the canister refused the message in inspect_message, because of its sender. */
export function isRefusedSender(error: unknown): boolean {
  return says(error, REFUSALS.sender) || says(error, REFUSALS.message);
}

/** Whether the error is a private canister's refusal of a stranger. */
export function isRefusedReader(error: unknown): boolean {
  return says(error, REFUSALS.private);
}

/** The message for a `caller` that a private canister has refused; undefined for other errors. */
export function refusalToRead(error: unknown, caller: Principal, canister: Principal): string | undefined {
  if (!isRefusedReader(error)) return undefined;
  if (caller.isAnonymous()) {
    const file = defaultIdentityFile();
    const own = existsSync(file) ? `; your own is --identity ${file}` : "";
    return `${canister} is private, and no key was given: give a reader's or an owner's with --identity PEM${own}`;
  }
  return `${canister} is private, and ${caller} may not read it: ${remedy("reader", caller, canister)}`;
}

/** The message about a canister from before channels. */
export function withoutChannels(canister: Principal): string {
  return `${canister} knows no channels, since it is older than they are: \`icfs deploy ${canister}\` upgrades it, for its controllers`;
}

/** A canister's message with sizes for people: `107_374_182_400 bytes` becomes 100 GiB. */
function inUnits(message: string): string {
  return message.replace(/(?<![\d_])\d[\d_]{6,40} bytes/g, (bytes) =>
    limitText(Number.parseInt(bytes.replaceAll("_", ""), 10)),
  );
}

function says(error: unknown, refusal: string): boolean {
  return error instanceof RejectError && error.reason.includes(refusal);
}

function remedy(by: Deed["by"], caller: Principal, canister: Principal): string {
  if (by === "owner")
    return "only its owners can (`icfs roles` lists them): give an owner's key with --identity PEM";
  const key = `give a ${by}'s or an owner's key with --identity PEM`;
  if (caller.isAnonymous()) return key;
  return `${key}, or have an owner run \`icfs grant ${canister} ${caller} ${by}\``;
}
