/**
 * The management canister's methods that install code: in one message, or in chunks (interface
 * specification, "IC method install_code", "IC method upload_chunk" and those after it).
 */
import type { Principal } from "@icp-sdk/core/principal";
import type { Canister } from "./canister.ts";
import { hashOf } from "./chunk-store.ts";
import { type Installation, installCode } from "./install.ts";
import type { ManagementCall, ManagementHost, Method } from "./management-method.ts";
import * as types from "./management-types.ts";
import { canisterError } from "./response.ts";

/** A value of the type `mode`, decoded. */
interface Mode {
  readonly upgrade?: [
    options?: {
      readonly skip_pre_upgrade: [] | [boolean];
      readonly wasm_memory_persistence: [] | [{ keep: null } | { replace: null }];
    },
  ];
}

interface ChunkedInstallation {
  readonly mode: Mode;
  readonly target_canister: Principal;
  readonly store_canister: [] | [Principal];
  readonly chunk_hashes_list: { readonly hash: Uint8Array }[];
  readonly wasm_module_hash: Uint8Array;
  readonly arg: Uint8Array;
}

/** @throws RejectError when the caller is not a controller. @param orItself whether the canister itself is allowed, too */
export function requireControl(
  canister: Canister,
  { caller, method }: Pick<ManagementCall, "caller" | "method">,
  orItself: boolean,
): void {
  const allowed = orItself ? [...canister.controllers, canister.id] : canister.controllers;
  if (allowed.some((id) => Buffer.compare(id, caller) === 0)) return;
  const message = `Only controllers of canister ${canister.text} can call ic00 method ${method}`;
  throw canisterError("IC0512", message);
}

export function installMethods(host: ManagementHost): Record<string, Method> {
  const find = (id: Principal) => host.canister(id.toUint8Array());
  const install = (canister: Canister, installation: Installation) =>
    canister.enqueue(() => installCode(canister, installation, () => host.startRuntime()));
  return {
    install_code: {
      argument: types.installCode,
      result: undefined,
      callers: "controllers",
      paid: true,
      run: ({ canister_id, mode, wasm_module, arg }, { caller }) =>
        install(find(canister_id), installation(mode, Uint8Array.from(wasm_module), arg, caller)),
    },
    install_chunked_code: {
      argument: types.installChunkedCode,
      result: undefined,
      callers: "controllers",
      paid: true,
      run(given: ChunkedInstallation, call) {
        const target = find(given.target_canister);
        const store = given.store_canister[0] === undefined ? target : find(given.store_canister[0]);
        requireControl(store, call, true);
        const hashes = given.chunk_hashes_list.map(({ hash }) => hash);
        const wasm = store.chunks.assemble(hashes, given.wasm_module_hash);
        return install(target, installation(given.mode, wasm, given.arg, call.caller));
      },
    },
    upload_chunk: {
      argument: types.uploadChunk,
      result: types.chunkHash,
      callers: "controllers and itself",
      paid: true,
      run({ canister_id, chunk: given }) {
        const canister = find(canister_id);
        const chunk = Uint8Array.from(given);
        const hash = hashOf(chunk);
        if (canister.chunks.accepts(chunk)) {
          canister.keeper.addChunk(chunk, hash);
          canister.chunks.add(chunk);
          canister.save();
        }
        return { hash: Buffer.from(hash, "hex") };
      },
    },
    clear_chunk_store: {
      argument: types.onCanister,
      result: undefined,
      callers: "controllers and itself",
      run({ canister_id }) {
        const canister = find(canister_id);
        canister.chunks.clear();
        canister.save();
      },
    },
    stored_chunks: {
      argument: types.onCanister,
      result: types.chunkHashes,
      callers: "controllers and itself",
      run: ({ canister_id }) =>
        find(canister_id).chunks.hashes.map((hash) => ({ hash: Buffer.from(hash, "hex") })),
    },
  };
}

function installation(mode: Mode, wasm: Uint8Array, arg: Uint8Array, caller: Uint8Array): Installation {
  const options = mode.upgrade?.[0];
  const persistence = options?.wasm_memory_persistence[0];
  return {
    mode: Object.keys(mode)[0] as Installation["mode"],
    wasm,
    argument: Uint8Array.from(arg),
    caller,
    skipPreUpgrade: options?.skip_pre_upgrade[0] ?? false,
    persistence: persistence === undefined ? undefined : "keep" in persistence ? "keep" : "replace",
  };
}
