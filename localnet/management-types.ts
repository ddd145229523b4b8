/**
 * Candid types of the management canister's methods, as far as the local network has them (interface specification,
 * "The IC management canister"). Fields of arguments that it ignores are left out: Candid skips them.
 */
import { IDL } from "@icp-sdk/core/candid";

const blob = IDL.Vec(IDL.Nat8);
const variables = IDL.Vec(IDL.Record({ name: IDL.Text, value: IDL.Text }));
const settings = IDL.Record({
  controllers: IDL.Opt(IDL.Vec(IDL.Principal)),
  environment_variables: IDL.Opt(variables),
  freezing_threshold: IDL.Opt(IDL.Nat),
});

export const onCanister = IDL.Record({ canister_id: IDL.Principal });

export const provisionalCreate = IDL.Record({
  amount: IDL.Opt(IDL.Nat),
  settings: IDL.Opt(settings),
  specified_id: IDL.Opt(IDL.Principal),
});

export const create = IDL.Record({ settings: IDL.Opt(settings) });

export const updateSettings = IDL.Record({ canister_id: IDL.Principal, settings });

export const topUp = IDL.Record({ canister_id: IDL.Principal, amount: IDL.Nat });

const mode = IDL.Variant({
  install: IDL.Null,
  reinstall: IDL.Null,
  upgrade: IDL.Opt(
    IDL.Record({
      skip_pre_upgrade: IDL.Opt(IDL.Bool),
      wasm_memory_persistence: IDL.Opt(IDL.Variant({ keep: IDL.Null, replace: IDL.Null })),
    }),
  ),
});

export const installCode = IDL.Record({
  mode,
  canister_id: IDL.Principal,
  wasm_module: blob,
  arg: blob,
});

export const chunkHash = IDL.Record({ hash: blob });

export const chunkHashes = IDL.Vec(chunkHash);

export const uploadChunk = IDL.Record({ canister_id: IDL.Principal, chunk: blob });

export const installChunkedCode = IDL.Record({
  mode,
  target_canister: IDL.Principal,
  store_canister: IDL.Opt(IDL.Principal),
  chunk_hashes_list: chunkHashes,
  wasm_module_hash: blob,
  arg: blob,
});

const visibility = IDL.Variant({
  controllers: IDL.Null,
  public: IDL.Null,
  allowed_viewers: IDL.Vec(IDL.Principal),
});

export const canisterStatus = IDL.Record({
  status: IDL.Variant({ running: IDL.Null, stopping: IDL.Null, stopped: IDL.Null }),
  settings: IDL.Record({
    controllers: IDL.Vec(IDL.Principal),
    compute_allocation: IDL.Nat,
    memory_allocation: IDL.Nat,
    freezing_threshold: IDL.Nat,
    reserved_cycles_limit: IDL.Nat,
    minimum_incoming_canister_call_cycles: IDL.Nat,
    log_visibility: visibility,
    snapshot_visibility: visibility,
    status_visibility: visibility,
    wasm_memory_limit: IDL.Nat,
    wasm_memory_threshold: IDL.Nat,
    log_memory_limit: IDL.Nat,
    environment_variables: variables,
  }),
  module_hash: IDL.Opt(blob),
  memory_size: IDL.Nat,
  memory_metrics: IDL.Record({
    wasm_memory_size: IDL.Nat,
    stable_memory_size: IDL.Nat,
    global_memory_size: IDL.Nat,
    wasm_binary_size: IDL.Nat,
    custom_sections_size: IDL.Nat,
    canister_history_size: IDL.Nat,
    wasm_chunk_store_size: IDL.Nat,
    snapshots_size: IDL.Nat,
    log_memory_store_size: IDL.Nat,
  }),
  cycles: IDL.Nat,
  reserved_cycles: IDL.Nat,
  idle_cycles_burned_per_day: IDL.Nat,
  query_stats: IDL.Record({
    num_calls_total: IDL.Nat,
    num_instructions_total: IDL.Nat,
    request_payload_bytes_total: IDL.Nat,
    response_payload_bytes_total: IDL.Nat,
  }),
  version: IDL.Nat64,
  ready_for_migration: IDL.Bool,
});

export const canisterInfo = IDL.Record({
  total_num_changes: IDL.Nat64,
  // Always empty here, so what a change looks like does not matter.
  recent_changes: IDL.Vec(IDL.Empty),
  module_hash: IDL.Opt(blob),
  controllers: IDL.Vec(IDL.Principal),
});

export const randomBytes = blob;
