/**
 * A canister's cycles: how many it has, what its memory costs over time, and whether it is frozen. It is frozen when its
 * cycles would not pay for its memory during the freezing threshold.
 */
import { storageCost } from "./prices.ts";
import { canisterOutOfCycles } from "./response.ts";

/** The IC's default: 30 days. */
export const FREEZING_THRESHOLD_S = 2_592_000n;
const DAY_S = 86_400n;
const SECOND_NS = 1_000_000_000n;

export class Account {
  /** The seconds for which the cycles must last. */
  freezingThreshold = FREEZING_THRESHOLD_S;
  readonly #canister: string;
  readonly #now: () => bigint;
  readonly #memory: () => number;
  #cycles: bigint;
  /** Until when the memory is paid for, in nanoseconds since 1970. */
  #paidUntil: bigint;

  /**
   * @param canister its id, as text
   * @param now nanoseconds since 1970
   * @param memory bytes that the canister has stored
   */
  constructor(canister: string, cycles: bigint, now: () => bigint, memory: () => number) {
    this.#canister = canister;
    this.#cycles = cycles;
    this.#now = now;
    this.#memory = memory;
    this.#paidUntil = now();
  }

  /** Its current cycles. */
  get cycles(): bigint {
    const elapsed = this.#now() - this.#paidUntil;
    // Each charge drops a fraction of a cycle, so charges are at least a second apart.
    if (elapsed >= SECOND_NS) {
      this.#paidUntil += elapsed;
      this.charge(storageCost(this.#memory(), elapsed));
    }
    return this.#cycles;
  }

  /** What its memory costs in a day. */
  get idleCyclesPerDay(): bigint {
    return storageCost(this.#memory(), DAY_S * SECOND_NS);
  }

  /** With fewer cycles than this, the canister is frozen. */
  get freezingLimit(): bigint {
    return storageCost(this.#memory(), this.freezingThreshold * SECOND_NS);
  }

  get isFrozen(): boolean {
    return this.cycles < this.freezingLimit;
  }

  /** @param cycles negative: what the canister has spent itself */
  add(cycles: bigint): void {
    const sum = this.#cycles + cycles;
    this.#cycles = sum > 0n ? sum : 0n;
  }

  /** Charges a cost, at most the cycles that it has. */
  charge(cost: bigint): void {
    this.add(-cost);
  }

  /** @throws RejectError when paying `cost` would freeze the canister, or it is frozen already */
  requireCycles(cost: bigint): void {
    const missing = this.freezingLimit + cost - this.cycles;
    if (missing <= 0n) return;
    const advice = `please top up the canister with at least ${missing} additional cycles`;
    throw canisterOutOfCycles(`Canister ${this.#canister} is out of cycles: ${advice}`);
  }

  /** @throws RejectError when it is frozen: then it answers no queries either */
  requireForQuery(): void {
    if (!this.isFrozen) return;
    const advice = "Please top up the canister with cycles and try again.";
    const problem = `Canister ${this.#canister} is unable to process query calls because it's frozen.`;
    throw canisterOutOfCycles(`${problem} ${advice}`);
  }
}
