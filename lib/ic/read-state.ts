/** What a subnet certifies of a canister, asked of the subnet (IC interface specification, "Request: Read state"). */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError } from "../errors.ts";
import { fromCall } from "./agent-error.ts";
import { fromAnyGateway } from "./any-gateway.ts";

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
  const certificate = await fromAnyGateway(agent, (asked) => readState(asked, canister, labels));
  if (!(certificate instanceof Uint8Array)) throw new FormatError("the answer has no certificate");
  return certificate;
}

async function readState(agent: HttpAgent, canister: Principal, labels: Uint8Array[]): Promise<unknown> {
  try {
    return (await agent.readState({ canisterId: canister }, { paths: [labels] })).certificate;
  } catch (error) {
    throw fromCall(error, { agent, canister });
  }
}
