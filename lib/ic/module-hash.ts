/** What code a canister runs: certified by its subnet, and not asked of the canister. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { verifyCertificate } from "./certificate/certificate.ts";
import { certifiedAt } from "./read-state.ts";

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
  const { data } = await certifiedAt(agent, canister, ["module_hash"], (certificate) =>
    verifyCertificate(certificate, rootKey, canister, "module_hash"),
  );
  return data;
}
