/**
 * How many days a canister's cycles last until it freezes, if nothing is published. The canister pays for its memory, and for a message
 * every ten minutes that looks for work. The network gives the figures to the canister's controllers only. For everybody else they are
 * estimated from the memory that the canister reports, for a subnet of 13 nodes and the IC's default freezing threshold.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { FREEZING_THRESHOLD_S } from "../localnet/account.ts";
import { executionCost, storageCost } from "../localnet/prices.ts";
import { managementCanister } from "./ic/management.ts";
import type { CanisterStatus } from "./icfs-canister.ts";
import { cyclesText } from "./units.ts";

/** With fewer days than this, icfs warns: time enough to top up, even over holidays. */
export const FEW_DAYS = 30;

const DAY_S = 86_400n;
const DAY_NS = DAY_S * 1_000_000_000n;
/** How often the timer of canister/main.mo runs in a day: every ten minutes. */
const MESSAGES_A_DAY = 144n;

export interface CyclesLeft {
  readonly cycles: bigint;
  /** Whole days until it freezes. */
  readonly days: number;
  /** Whether prices and threshold were assumed. */
  readonly isEstimate: boolean;
}

/** An estimate from the canister's own report; undefined when the canister is too old to report its memory. */
export function estimateLeft({ cycles, memory_bytes: [memory] }: CanisterStatus): CyclesLeft | undefined {
  if (memory === undefined) return undefined;
  return left(cycles, storageCost(Number(memory), DAY_NS), FREEZING_THRESHOLD_S, true);
}

/** By the network's figures. @param agent signs as a controller. @throws RejectError when it does not; others as actorOf() */
export async function certifiedLeft(agent: HttpAgent, canister: Principal): Promise<CyclesLeft> {
  const status = await managementCanister(agent, canister).canister_status({ canister_id: canister });
  const { cycles, idle_cycles_burned_per_day: idle, settings } = status;
  return left(cycles, idle, settings.freezing_threshold, false);
}

/** @param idle cycles a day for memory. @param threshold seconds of idling for which cycles must be left, or the canister freezes */
function left(cycles: bigint, idle: bigint, threshold: bigint, isEstimate: boolean): CyclesLeft {
  const spare = cycles - (idle * threshold) / DAY_S;
  const burn = idle + MESSAGES_A_DAY * executionCost(0);
  return { cycles, days: spare > 0n ? Number(spare / burn) : 0, isEstimate };
}

/** In words: 1.5 T, 12 days until it freezes. */
export function describeLeft({ cycles, days, isEstimate }: CyclesLeft): string {
  const assumed = isEstimate ? ", estimated for a subnet of 13 nodes and a threshold of 30 days" : "";
  return `${cyclesText(cycles)}: ${days} days until it freezes, if nothing is published${assumed}`;
}
