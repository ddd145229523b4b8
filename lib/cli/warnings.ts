/** Warnings that commands print about a canister they read. */
import type { Verification } from "../source/source.ts";
import { VOUCHED } from "../source/words.ts";

/** Warns on stderr when only a node's signature vouches for the canister's content. */
export function warnOfTrust(canister: string, verified: Verification): void {
  if (verified !== "node-signature") return;
  console.error(
    `icfs: what ${canister} serves is ${VOUCHED[verified]}, and anybody may write to it; --trust replicated reads it through consensus`,
  );
}
