/** The answer of canister_status (interface specification): real values as far as the local network has them, otherwise the IC's defaults. */
import { Principal } from "@icp-sdk/core/principal";
import type { Canister } from "./canister.ts";
import { STABLE_PAGE } from "./stable-memory.ts";

/** @returns a value of the type `canisterStatus` */
export function statusOf(canister: Canister): Record<string, unknown> {
  const wasmMemory = BigInt(canister.state?.heapLength ?? 0);
  const stableMemory = BigInt((canister.state?.stable.pages ?? 0) * STABLE_PAGE);
  const chunks = BigInt(canister.chunks.byteLength);
  const binary = BigInt(canister.module?.rewritten.binary.length ?? 0);
  return {
    status: { [canister.status]: null },
    settings: {
      controllers: canister.controllers.map((id) => Principal.fromUint8Array(id)),
      compute_allocation: 0n,
      memory_allocation: 0n,
      freezing_threshold: canister.account.freezingThreshold,
      reserved_cycles_limit: 0n,
      minimum_incoming_canister_call_cycles: 0n,
      log_visibility: { controllers: null },
      snapshot_visibility: { controllers: null },
      status_visibility: { controllers: null },
      wasm_memory_limit: 0n,
      wasm_memory_threshold: 0n,
      log_memory_limit: 0n,
      environment_variables: canister.variables,
    },
    module_hash: canister.module === undefined ? [] : [canister.module.hash],
    memory_size: BigInt(canister.memorySize),
    memory_metrics: {
      wasm_memory_size: wasmMemory,
      stable_memory_size: stableMemory,
      global_memory_size: 0n,
      wasm_binary_size: binary,
      custom_sections_size: 0n,
      canister_history_size: 0n,
      wasm_chunk_store_size: chunks,
      snapshots_size: 0n,
      log_memory_store_size: 0n,
    },
    cycles: canister.account.cycles,
    reserved_cycles: 0n,
    idle_cycles_burned_per_day: canister.account.idleCyclesPerDay,
    query_stats: {
      num_calls_total: 0n,
      num_instructions_total: 0n,
      request_payload_bytes_total: 0n,
      response_payload_bytes_total: 0n,
    },
    version: canister.version,
    ready_for_migration: false,
  };
}
