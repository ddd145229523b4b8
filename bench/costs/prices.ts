/**
 * The IC's prices, in cycles, for a subnet of 13 nodes: the one place where the benches have them. They are assumed, as far as we know
 * them, and were not asked of anybody: look them up (https://docs.internetcomputer.org, "cycles costs") before you rely on what is made
 * of them. Larger subnets charge in proportion to their nodes.
 */
export const PRICES = {
  /** For taking in an update call, and for each byte of its envelope. */
  ingressMessage: 1_200_000,
  ingressByte: 2_000,
  /** For carrying out an update call, and for each instruction that it takes. */
  execution: 5_000_000,
  instruction: 1,
  /** For a GiB stored for a second. */
  gibSecond: 127_000,
} as const;

/** 1 T cycles are 1 XDR, which was about that many US dollars. */
export const USD_PER_T = 1.35;

const GIB = 1024 ** 3;
const SECONDS_A_YEAR = 365 * 24 * 3600;

/** What was done by update calls. */
export interface Work {
  readonly messages: number;
  /** Of the calls' envelopes, as they were sent. */
  readonly bytes: number;
  /** Each counted as one. */
  readonly instructions: number;
}

/** Cycles for update calls, by what they are charged for. */
export function cyclesFor({ messages, bytes, instructions }: Work): { ingress: number; execution: number } {
  return {
    ingress: messages * PRICES.ingressMessage + bytes * PRICES.ingressByte,
    execution: messages * PRICES.execution + instructions * PRICES.instruction,
  };
}

/** Cycles for bytes stored for a year. */
export function cyclesForAYear(bytes: number): number {
  return (bytes / GIB) * PRICES.gibSecond * SECONDS_A_YEAR;
}
