/** What a subnet certifies of a canister, asked of the subnet (IC interface specification, "Request: Read state"). */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError } from "../errors.ts";
import { fromCall } from "./agent-error.ts";

/**
 * A certificate, not verified, that shows what is at `canister / ID / path`, if anything is.
 * @throws HttpStatusError, of status 403 or 404 when the caller may not see it; ClockError, NoAnswerError, FormatError, Error
 */
export async function certificateOf(
  agent: HttpAgent,
  canister: Principal,
  path: readonly string[],
): Promise<Uint8Array> {
  const labels = ["canister", canister.toUint8Array(), ...path].map((label) =>
    Uint8Array.from(Buffer.from(label)),
  );
  let certificate: unknown;
  try {
    certificate = (await agent.readState({ canisterId: canister }, { paths: [labels] })).certificate;
  } catch (error) {
    const known = fromCall(error, { agent, canister });
    // Of no kind of its own: the agent could not read it, as with an empty answer of status 202.
    throw known.name === "Error" ? new FormatError("the answer has no certificate") : known;
  }
  if (!(certificate instanceof Uint8Array)) throw new FormatError("the answer has no certificate");
  return certificate;
}
