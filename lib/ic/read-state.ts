/** What a subnet certifies, asked of the subnet (IC interface specification, "Request: Read state"). */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError } from "../errors.ts";
import { fromCall } from "./agent-error.ts";

/**
 * A certificate, not verified, that shows what is at `canister / ID / path`, if anything is.
 * @throws HttpStatusError, of status 403 or 404 when the caller may not see it; ClockError, NoAnswerError, FormatError, Error
 */
export function certificateOf(
  agent: HttpAgent,
  canister: Principal,
  path: readonly string[],
): Promise<Uint8Array> {
  return readState(agent, canister, ["canister", canister.toUint8Array(), ...path]);
}

/**
 * A certificate, not verified, that shows what is at a path of the state tree, if anything is.
 *
 * @param canister through whose subnet it is asked for
 * @throws as certificateOf()
 */
export async function readState(
  agent: HttpAgent,
  canister: Principal,
  path: readonly (string | Uint8Array)[],
): Promise<Uint8Array> {
  const labels = path.map((label) => Uint8Array.from(Buffer.from(label)));
  let certificate: unknown;
  try {
    const answer = await agent.readState({ canisterId: canister }, { paths: [labels], ...UNVERIFIED });
    certificate = answer.certificate;
  } catch (error) {
    const known = fromCall(error, { agent, canister });
    // Of no kind of its own: the agent could not read it, as with an empty answer of status 202.
    throw known.name === "Error" ? new FormatError("the answer has no certificate") : known;
  }
  if (!(certificate instanceof Uint8Array)) throw new FormatError("the answer has no certificate");
  return certificate;
}

/**
 * Core would check a certificate's signatures and time before it hands it out: on the main thread, and once more than whoever asked does,
 * in certificate.ts.
 */
const UNVERIFIED = { blsVerify: async () => true, disableTimeVerification: true };
