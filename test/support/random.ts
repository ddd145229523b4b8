/**
 * Reproducible random numbers: a test has the seed in its name, and a failed test fails again with SEED set to that seed.
 */
import { randomInt } from "node:crypto";

/** A whole number from 0 to below this. */
export type Random = (below: number) => number;

/** A new seed each time, unless the environment has one as SEED. */
export const newSeed = (): number => Number(process.env.SEED ?? randomInt(2 ** 32));

/** Numbers that depend on the seed alone (xorshift). */
export function random(seed: number): Random {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
