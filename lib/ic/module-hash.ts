/** The code that a canister runs, as its subnet certifies it. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { verifyCertificate } from "./certificate/certificate.ts";
import { certifiedAt } from "./read-state.ts";

/**
 * The SHA-256 of the Wasm that was installed, as it was sent.
 *
 * @throws VerificationError when the certificate does not verify, or the canister has no code; others of call-errors.ts when there is no
 *   answer
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
