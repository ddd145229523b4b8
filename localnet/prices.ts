/**
 * What the IC charges canisters, in cycles, on a subnet of 13 nodes; no other module has prices. They are unconfirmed assumptions: look them
 * up (https://docs.internetcomputer.org, "cycles costs") before you rely on results. Larger subnets charge in proportion to their
 * nodes.
 */
export const PRICES = {
  /** For receiving an update call, and for each byte of its envelope. */
  ingressMessage: 1_200_000,
  ingressByte: 2_000,
  /** For executing an update call, and for each of its instructions. */
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

/** For an executed message. @param instructions here, nanoseconds are counted instead, as in the performance counter */
export function executionCost(instructions: number): bigint {
  return BigInt(PRICES.execution + Math.round(instructions) * PRICES.instruction);
}

/** For storing bytes for a time in nanoseconds. */
export function storageCost(bytes: number, nanoseconds: bigint): bigint {
  return (BigInt(bytes) * BigInt(PRICES.gibSecond) * nanoseconds) / (GIB * SECOND_NS);
}
