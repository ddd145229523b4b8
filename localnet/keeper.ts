/**
 * Between a canister and its store: changes are kept before anybody gets an answer. If that fails, the network ends, since
 * the next start could not continue from what its clients have seen. Without a store, nothing is kept.
 */
import type { CanisterStore, KeptCanister, StateChange } from "./canister-store.ts";
import type { CanisterState } from "./message.ts";

export class Keeper {
  store: CanisterStore | undefined;
  readonly #failed: (error: unknown) => void;

  /** @param failed ends the network */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /** @throws Error when it cannot be kept */
  addModule(wasm: Uint8Array, hash: Uint8Array): void {
    this.#try(() => this.store?.addModule(wasm, hash));
  }

  /** @param hash its SHA-256, in hexadecimal @throws Error when it cannot be kept */
  addChunk(chunk: Uint8Array, hash: string): void {
    this.#try(() => this.store?.addChunk(chunk, hash));
  }

  /** @throws Error when it cannot be kept */
  append(kept: KeptCanister, change: StateChange, state: CanisterState | undefined): void {
    this.#try(() => this.store?.append(kept, change, state));
  }

  /** Only while the canister is not running. Changes that are already kept can be answered even if this fails. */
  compact(state: CanisterState | undefined): void {
    try {
      this.#try(() => this.store?.compact(state));
    } catch {
      // The network has been notified.
    }
  }

  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }
}
