/** What update calls and storage cost, at the local network's prices (localnet/prices.ts). */
import { PRICES } from "../../localnet/prices.ts";

/** 1 T cycles cost 1 XDR, about this many US dollars. */
export const USD_PER_T = 1.35;

const GIB = 1024 ** 3;
const SECONDS_A_YEAR = 365 * 24 * 3600;

/** Work done by update calls. */
export interface Work {
  readonly messages: number;
  /** Of the calls' envelopes, as sent. */
  readonly bytes: number;
  /** Each instruction counts one. */
  readonly instructions: number;
}

/** Cycles for update calls, by component. */
export function cyclesFor({ messages, bytes, instructions }: Work): { ingress: number; execution: number } {
  return {
    ingress: messages * PRICES.ingressMessage + bytes * PRICES.ingressByte,
    execution: messages * PRICES.execution + instructions * PRICES.instruction,
  };
}

/** Cycles for storing bytes for a year. */
export function cyclesForAYear(bytes: number): number {
  return (bytes / GIB) * PRICES.gibSecond * SECONDS_A_YEAR;
}
