/** The last check for a new release: when the network answered, and why it does not now. */
import { messageOf } from "../errors.ts";
import { isHopeless, SignatureError } from "../ic/call-errors.ts";
import { kindOf, type Log } from "../log.ts";
import { AbsentChannelError } from "../source/icfs/channels.ts";
import { isOutage } from "./outage.ts";

export interface CheckStatus {
  /** When the network last answered. Undefined: not since the mount, which began from what was kept on this host. */
  readonly checkedAt: Date | undefined;
  /** Why the last attempt failed, if it did. */
  readonly problem: string | undefined;
  /** Whether the last attempt got an answer that proves nothing or is a refusal. */
  readonly refused: boolean;
  /** Whether the followed channel was deleted on the canister, as far as a certificate has said: the last release stays served. */
  readonly channelDeleted: boolean;
}

export class LastCheck {
  readonly #log: Log;
  #checkedAt: Date | undefined;
  #channelDeleted = false;
  /** `since`: of performance.now(). */
  #problem: { readonly message: string; readonly refused: boolean; readonly since: number } | undefined;

  /** @param checked whether the network has just named the newest release */
  constructor(checked: boolean, log: Log) {
    this.#log = log;
    if (checked) this.#checkedAt = new Date();
  }

  get status(): CheckStatus {
    return {
      checkedAt: this.#checkedAt,
      problem: this.#problem?.message,
      refused: this.#problem?.refused === true,
      channelDeleted: this.#channelDeleted,
    };
  }

  /** @param goesOn what is served in the meantime, in words */
  failed(error: unknown, goesOn: string): void {
    // An outage afterwards does not bring the channel back.
    if (error instanceof AbsentChannelError) this.#channelDeleted = true;
    const message = messageOf(error);
    // Log once per outage, not once a minute. Messages may contain a time, so compare their kinds.
    if (this.#problem === undefined || kindOf(this.#problem.message) !== kindOf(message)) {
      this.#log.warn(`cannot ask for the newest release: ${message}; goes on with ${goesOn}`);
    }
    const refused = !(isOutage(error) || isHopeless(error)) || error instanceof SignatureError;
    this.#problem = { message, refused, since: this.#problem?.since ?? performance.now() };
  }

  succeeded(): void {
    this.#checkedAt = new Date();
    this.#channelDeleted = false;
    if (this.#problem === undefined) return;
    const seconds = (performance.now() - this.#problem.since) / 1000;
    this.#log.info(`the newest release can be asked for again, after ${seconds.toFixed(1)} s`);
    this.#problem = undefined;
  }
}
