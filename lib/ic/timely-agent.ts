import { HttpAgent } from "@icp-sdk/core/agent";
import { wrongTime } from "./agent-error.ts";

/**
 * Core's agent, but for one thing. When a network says that a request is of the wrong time, or a certificate is, core's takes the
 * time from the same gateway, without a look at how old what says so is, and from then on what is as old passes for new: a replayed
 * answer with its node's signature, for one.
 */
export class TimelyAgent extends HttpAgent {
  /** @throws ClockError */
  override async syncTime(): Promise<void> {
    throw wrongTime();
  }
}
