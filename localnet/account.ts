/**
 * A canister's cycles: how many it has, what its memory costs while time passes, and when it is frozen: when they would
 * not last for its freezing threshold, did it nothing but keep what it has.
 */
import { storageCost } from "./prices.ts";
import { canisterOutOfCycles } from "./response.ts";

/** The IC's default: 30 days. */
export const FREEZING_THRESHOLD_S = 2_592_000n;
const DAY_S = 86_400n;
const SECOND_NS = 1_000_000_000n;

export class Account {
  /** For so many seconds the cycles must last. */
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

  /** What it has, now. */
  get cycles(): bigint {
    const elapsed = this.#now() - this.#paidUntil;
    // Less than a cycle is nothing: so not too often.
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

  /** With fewer cycles than these it is frozen. */
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

  /** Takes what something has cost; what is not there cannot be taken. */
  charge(cost: bigint): void {
    this.add(-cost);
  }

  /** @throws RejectError when to pay so much would freeze the canister, or it is frozen */
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
