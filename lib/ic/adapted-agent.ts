/** Core's agent, with two changes. */
import { HttpAgent } from "@icp-sdk/core/agent";
import { wrongTime } from "./agent-error.ts";
import { verifySignature } from "./certificate/bls.ts";
import { isValid } from "./certificate/valid-signatures.ts";

export class AdaptedAgent extends HttpAgent {
  /**
   * If a network rejects a request for its time, or a certificate has the wrong time, core's agent adopts the time of the same gateway
   * without checking how old that answer is. From then on, equally old data passes for new, for example a replayed answer with its node's
   * signature.
   *
   * @throws ClockError
   */
  override async syncTime(): Promise<void> {
    throw wrongTime();
  }

  /** Core would check the delegation of each certificate again. */
  override readState(...[target, fields, ...more]: Parameters<HttpAgent["readState"]>) {
    return super.readState(target, { blsVerify: isKnownValid, ...fields }, ...more);
  }
}

function isKnownValid(...signed: Parameters<typeof verifySignature>): Promise<boolean> {
  return isValid(verifySignature, ...signed);
}
