/**
 * Has the first BLS signature of a process checked as quickly as those that follow. With each, @noble/curves (which @dfinity/agent
 * checks them with) looks whether the generator of the keys' group is in that group. For the first time it would make a table
 * of its multiples, of use to who signs, which takes ten times as long as the signature.
 */
import { bls12_381 } from "@noble/curves/bls12-381.js";

// A window of 1: without a table.
bls12_381.G2.Point.BASE.precompute(1);
