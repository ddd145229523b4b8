/** What a subnet certifies, asked of the subnet (IC interface specification, "Request: Read state"). */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError } from "../errors.ts";
import { fromCall } from "./agent-error.ts";
import { fromAnyGateway } from "./gateway/any-gateway.ts";

/**
 * What a subnet certifies at `canister / ID / path` of its state tree.
 *
 * @param verified verifies the certificate, and returns what it shows; when the answer is wrong, another gateway is asked
 * @throws HttpStatusError, of status 403 or 404 when the caller may not see it; ClockError, NoAnswerError, FormatError, Error;
 *   what `verified` throws
 */
export function certifiedAt<T>(
  agent: HttpAgent,
  canister: Principal,
  path: readonly string[],
  verified: (certificate: Uint8Array) => Promise<T>,
): Promise<T> {
  return fromAnyGateway(agent, async (asked) =>
    verified(await readState(asked, canister, ["canister", canister.toUint8Array(), ...path])),
  );
}

/**
 * An unverified certificate that shows what is at a path of the state tree, if anything is.
 *
 * @param canister the canister whose subnet is asked
 * @throws as certifiedAt()
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
    // An error without a class of its own: the agent could not read the answer, such as an empty one of status 202.
    throw known.name === "Error" ? new FormatError("the answer has no certificate") : known;
  }
  if (!(certificate instanceof Uint8Array)) throw new FormatError("the answer has no certificate");
  return certificate;
}

/**
 * Core would check a certificate's signatures and time before it returns it: on the main thread, and in addition to the check
 * in certificate/certificate.ts.
 */
const UNVERIFIED = { blsVerify: async () => true, disableTimeVerification: true };
