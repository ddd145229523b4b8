/** Detects arguments in the order that other programs use: `mount DIR CANISTER`. */
import { UsageError } from "../errors.ts";

/** The form of every canister id, with or without a release. No user's principal ends like this. */
const CANISTER = /^(?:[a-z2-7]{5}-)+cai(?:@[a-z0-9][a-z0-9._-]*)?$/i;

/**
 * @param canister the argument in the canister's place
 * @param other the argument in the other place
 * @param order gives the arguments in the right order
 * @throws UsageError when the two are swapped
 */
export function checkOrder(
  canister: string,
  other: string | undefined,
  order: (canister: string, other: string) => string,
): void {
  if (other === undefined || CANISTER.test(canister) || !CANISTER.test(other)) return;
  throw new UsageError(
    `the arguments are swapped: "${other}" is a canister and "${canister}" is not; it is ${order(other, canister)}`,
  );
}
