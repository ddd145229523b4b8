/** What code a canister runs: certified by its subnet, and not asked of the canister. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { verifyCertificate } from "./certificate.ts";
import { certificateOf } from "./read-state.ts";

/**
 * The SHA-256 of the Wasm that was installed, as it was sent.
 *
 * @throws VerificationError when it is not what it should be, or the canister is empty; others of call-errors.ts when there is no answer
 */
export async function moduleHashOf(
  agent: HttpAgent,
  canister: Principal,
  rootKey: Uint8Array,
): Promise<Uint8Array> {
  const certificate = await certificateOf(agent, canister, ["module_hash"]);
  return (await verifyCertificate(certificate, rootKey, canister, "module_hash")).data;
}
