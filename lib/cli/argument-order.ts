/** Arguments in the wrong order, as other programs have them: `mount DIR CANISTER`. */
import { UsageError } from "../errors.ts";

/** What every canister id looks like, with a release or without; no user's principal ends like this. */
const CANISTER = /^(?:[a-z2-7]{5}-)+cai(?:@[a-z0-9][a-z0-9._-]*)?$/i;

/**
 * @param canister what stands where a canister belongs
 * @param other what stands in the other place
 * @param order gives the arguments as they should be
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
