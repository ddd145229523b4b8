/** What commands say on stderr of a canister that they read. */
import type { Verification } from "../source/source.ts";
import { VOUCHED } from "../source/words.ts";

/** Says on stderr what a canister cannot promise, when nothing but a node's signature vouches for it. */
export function warnOfTrust(canister: string, verified: Verification): void {
  if (verified !== "node-signature") return;
  console.error(
    `icfs: what ${canister} serves is ${VOUCHED[verified]}, and anybody may write to it; --trust replicated reads it through consensus`,
  );
}
