/** Asks how much memory a canister uses; only its controllers can. */
import { Actor, type HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";

/** Bytes of a canister's memory, without the program itself. */
export interface CanisterMemory {
  /** Wasm memory. */
  readonly heap: number;
  readonly stable: number;
}

interface Status {
  canister_status(request: { canister_id: Principal }): Promise<{
    memory_metrics: { wasm_memory_size: bigint; stable_memory_size: bigint };
  }>;
}

/** @param agent signs as a controller @throws Error if it signs as anybody else */
export async function memoryOf(agent: HttpAgent, canister_id: Principal): Promise<CanisterMemory> {
  const management = Actor.createActor<Status>(
    ({ IDL }) => {
      const memory_metrics = IDL.Record({ wasm_memory_size: IDL.Nat, stable_memory_size: IDL.Nat });
      const status = IDL.Record({ memory_metrics });
      return IDL.Service({
        canister_status: IDL.Func([IDL.Record({ canister_id: IDL.Principal })], [status], []),
      });
    },
    { agent, canisterId: "aaaaa-aa", effectiveCanisterId: canister_id },
  );
  const { memory_metrics } = await management.canister_status({ canister_id });
  return {
    heap: Number(memory_metrics.wasm_memory_size),
    stable: Number(memory_metrics.stable_memory_size),
  };
}
