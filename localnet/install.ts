/**
 * install_code: a module is loaded and initialised in a new worker with its own state, which replaces the canister's
 * state only after success. A failure therefore changes nothing.
 */
import type { Canister } from "./canister.ts";
import {
  applyDelta,
  emptyState,
  forkState,
  type InstalledModule,
  installedModule,
} from "./canister-state.ts";
import type { CanisterState, EntryPoint, Outcome } from "./message.ts";
import { executionCost } from "./prices.ts";
import { canisterError, type RejectError } from "./response.ts";
import type { CanisterRuntime } from "./runtime.ts";

export interface Installation {
  mode: "install" | "reinstall" | "upgrade";
  /** The module, plain or compressed with gzip. */
  wasm: Uint8Array;
  argument: Uint8Array;
  caller: Uint8Array;
  skipPreUpgrade: boolean;
  /** What an upgrade does with the main memory; undefined: not specified. */
  persistence: "keep" | "replace" | undefined;
}

/** Motoko's mark on modules whose main memory must be kept, or discarded explicitly. */
const KEEPS_MEMORY = "enhanced-orthogonal-persistence";

/**
 * Installs a module; must run in the canister's queue.
 *
 * @param startRuntime starts the worker in which the module will run
 * @throws RejectError when the module is invalid or one of its entry points traps
 */
export async function installCode(
  canister: Canister,
  given: Installation,
  startRuntime: () => CanisterRuntime,
): Promise<void> {
  const { mode } = given;
  if (mode === "install" && canister.module !== undefined) {
    const hint = "is not empty. Try installing with mode='reinstall' instead.";
    throw canisterError(
      "IC0514",
      `Canister ${canister.text} cannot be installed because the canister ${hint}`,
    );
  }
  if (mode === "upgrade" && canister.module === undefined) {
    throw canisterError(
      "IC0537",
      `Canister ${canister.text} cannot be upgraded: it contains no Wasm module.`,
    );
  }
  const marked = canister.module?.rewritten.metadata.has(KEEPS_MEMORY);
  if (mode === "upgrade" && marked && given.persistence === undefined) {
    const missing =
      "Missing upgrade option: Enhanced orthogonal persistence requires the `wasm_memory_persistence`";
    throw canisterError("IC0504", `Error from Canister ${canister.text}: ${missing} upgrade option.`);
  }
  const module = readModule(canister, given.wasm);
  if (mode === "upgrade" && given.persistence === "keep" && !module.rewritten.metadata.has(KEEPS_MEMORY)) {
    const invalid =
      "Invalid upgrade option: The `wasm_memory_persistence: opt Keep` upgrade option requires that the new canister module";
    const message = `${invalid} supports enhanced orthogonal persistence.`;
    throw canisterError("IC0504", `Error from Canister ${canister.text}: ${message}`);
  }
  const runtime = startRuntime();
  try {
    if (mode === "upgrade") await upgrade(canister, given, module, runtime);
    else await start(canister, given, module, runtime);
  } catch (error) {
    await runtime.close();
    throw error;
  }
}

async function start(
  canister: Canister,
  given: Installation,
  module: InstalledModule,
  runtime: CanisterRuntime,
): Promise<void> {
  const state = emptyState();
  await load(canister, runtime, module, state, "fresh");
  const [before, outcome] = await enter(canister, runtime, "init", given, state);
  canister.certifiedData = new Uint8Array();
  const change = {
    heap: { isFresh: true, pages: outcome.delta?.heapPages ?? [] },
    stable: { isFresh: true, pages: outcome.delta?.stable.written ?? [] },
  };
  await canister.adopt({ runtime, module, wasm: given.wasm, state, change, outcomes: [[before, outcome]] });
}

async function upgrade(
  canister: Canister,
  given: Installation,
  module: InstalledModule,
  runtime: CanisterRuntime,
): Promise<void> {
  const old = canister.module!;
  const withPreUpgrade = old.functionExports.has("canister_pre_upgrade") && !given.skipPreUpgrade;
  const keep = given.persistence === "keep";
  const state = forkState(canister.state!, keep || withPreUpgrade);
  const outcomes: [bigint, Outcome][] = [];
  if (withPreUpgrade) {
    await load(canister, runtime, old, state, "restore");
    outcomes.push(await enter(canister, runtime, "pre_upgrade", given, state));
  }
  await load(canister, runtime, module, state, keep ? "keep" : "fresh");
  outcomes.push(await enter(canister, runtime, "post_upgrade", given, state));
  const deltas = outcomes.map(([, outcome]) => outcome.delta);
  const heapPages = keep ? deltas.flatMap((delta) => delta?.heapPages ?? []) : deltas.at(-1)?.heapPages;
  const change = {
    heap: { isFresh: !keep, pages: [...new Set(heapPages)] },
    stable: { isFresh: false, pages: [...new Set(deltas.flatMap((delta) => delta?.stable.written ?? []))] },
  };
  await canister.adopt({ runtime, module, wasm: given.wasm, state, change, outcomes });
}

async function load(
  canister: Canister,
  runtime: CanisterRuntime,
  module: InstalledModule,
  state: CanisterState,
  memory: "restore" | "fresh" | "keep",
): Promise<void> {
  try {
    await runtime.load(module.rewritten, state, memory, true);
  } catch (error) {
    throw invalid(canister, error);
  }
}

/** Runs an entry point and applies its changes to the new state. */
async function enter(
  canister: Canister,
  runtime: CanisterRuntime,
  entry: EntryPoint,
  given: Installation,
  state: CanisterState,
): Promise<[balanceBefore: bigint, Outcome]> {
  canister.account.requireCycles(executionCost(0));
  const environment = canister.environment();
  const argument = entry === "pre_upgrade" ? new Uint8Array() : given.argument;
  const outcome = await canister.execute({ entry, caller: given.caller, argument, environment }, runtime);
  canister.account.charge(executionCost(outcome.elapsed));
  if (outcome.trap !== undefined) {
    throw canisterError(
      outcome.trap.errorCode,
      `Error from Canister ${canister.text}: ${outcome.trap.message}`,
    );
  }
  if (outcome.delta !== undefined) applyDelta(state, outcome.delta);
  return [environment.balance, outcome];
}

function readModule(canister: Canister, wasm: Uint8Array): InstalledModule {
  try {
    return installedModule(wasm);
  } catch (error) {
    throw invalid(canister, error);
  }
}

function invalid(canister: Canister, error: unknown): RejectError {
  const reason = error instanceof Error ? error.message : String(error);
  return canisterError(
    "IC0505",
    `Error from Canister ${canister.text}: Canister's Wasm module is not valid: ${reason}`,
  );
}
