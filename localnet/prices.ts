/** What the IC charges canisters for, in cycles. */

/**
 * The IC's prices, in cycles, for a subnet of 13 nodes: the one place that has them. They are assumed, as far as we know
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

const GIB = 1024n ** 3n;
const SECOND_NS = 1_000_000_000n;

/** For an update call from outside. @param bytes of its envelope */
export function ingressCost(bytes: number): bigint {
  return BigInt(PRICES.ingressMessage + bytes * PRICES.ingressByte);
}

/** For a message that was carried out. @param instructions here, nanoseconds stand for them, as in the performance counter */
export function executionCost(instructions: number): bigint {
  return BigInt(PRICES.execution + Math.round(instructions) * PRICES.instruction);
}

/** For bytes that are stored for so many nanoseconds. */
export function storageCost(bytes: number, nanoseconds: bigint): bigint {
  return (BigInt(bytes) * BigInt(PRICES.gibSecond) * nanoseconds) / (GIB * SECOND_NS);
}
