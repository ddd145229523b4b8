/** What an icfs canister's refusals (canister/main.mo) mean to whoever called it, and what to do then. */
import type { HttpAgent } from "@dfinity/agent";
import type { Principal } from "@dfinity/principal";
import { UserError } from "./errors.ts";
import { agentMessage, isRefusedSender } from "./ic/agent-error.ts";

export interface Deed {
  /** As in "the canister did not publish", "PRINCIPAL may not publish". */
  readonly what: string;
  /** Who may do it. Owners may everything. */
  readonly by: "owner" | "publisher" | "reader";
}

/** Waits for a call of `canister` that `agent` signs. @throws UserError in place of the agent's errors */
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
      throw new UserError(`${caller} may not ${what} on ${canister}: ${remedy(by, caller, canister)}`);
    }
    const message = agentMessage(error);
    throw new UserError(
      refusalToRead(message, caller, canister) ?? `the canister did not ${what}: ${message}`,
    );
  }
}

/** What to tell `caller` when `message` is how a private canister turns strangers away; undefined for other messages. */
export function refusalToRead(message: string, caller: Principal, canister: Principal): string | undefined {
  if (!/not authorised: this canister is private/.test(message)) return undefined;
  return `${canister} is private, and ${caller} may not read it: ${remedy("reader", caller, canister)}`;
}

function remedy(by: Deed["by"], caller: Principal, canister: Principal): string {
  if (by === "owner")
    return "only its owners may (`icfs roles` lists them): give an owner's key with --identity PEM";
  const key = `give ${by === "publisher" ? "a publisher's" : "a reader's"} or an owner's key with --identity PEM`;
  if (caller.isAnonymous()) return key;
  return `${key}, or have an owner run \`icfs grant ${canister} ${caller} ${by}\``;
}
