import { HttpAgent } from "@icp-sdk/core/agent";
import { wrongTime } from "./agent-error.ts";

/**
 * Core's agent, except for one thing. If a network rejects a request for its time, or a certificate has the wrong time, core's agent
 * adopts the time of the same gateway without checking how old that answer is. From then on, equally old data passes for new, for
 * example a replayed answer with its node's signature.
 */
export class TimelyAgent extends HttpAgent {
  /** @throws ClockError */
  override async syncTime(): Promise<void> {
    throw wrongTime();
  }
}
