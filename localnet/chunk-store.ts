/**
 * A canister's chunk store: pieces of modules that are too large for one message, by their SHA-256, until
 * install_chunked_code joins them (interface specification, "IC method upload_chunk").
 */
import { createHash } from "node:crypto";
import { canisterError, type RejectError } from "./response.ts";
import { MAX_MODULE_BYTES } from "./wasm-binary.ts";

/** Bytes; the IC's limit. */
export const MAX_WASM_CHUNK_BYTES = 1024 * 1024;
/** The IC's limit on the chunks of one canister. */
export const MAX_CHUNKS = 100;

export class ChunkStore {
  readonly #chunks = new Map<string, Uint8Array>();
  #hashes: readonly string[] = [];

  /** The hashes of all chunks, in hexadecimal, oldest first. Each change makes a new array. */
  get hashes(): readonly string[] {
    return this.#hashes;
  }

  get byteLength(): number {
    let sum = 0;
    for (const chunk of this.#chunks.values()) sum += chunk.length;
    return sum;
  }

  /**
   * Whether a chunk would be new.
   *
   * @throws RejectError when there is no room for it
   */
  accepts(chunk: Uint8Array): boolean {
    if (chunk.length > MAX_WASM_CHUNK_BYTES) {
      throw failed(
        `Wasm chunk size ${chunk.length} exceeds the maximum chunk size of ${MAX_WASM_CHUNK_BYTES} bytes`,
      );
    }
    if (this.#chunks.has(hashOf(chunk))) return false;
    if (this.#chunks.size >= MAX_CHUNKS) {
      throw failed(`the store is full, with ${MAX_CHUNKS} chunks: call clear_chunk_store`);
    }
    return true;
  }

  add(chunk: Uint8Array): void {
    this.#chunks.set(hashOf(chunk), chunk);
    this.#hashes = [...this.#chunks.keys()];
  }

  clear(): void {
    this.#chunks.clear();
    this.#hashes = [];
  }

  /**
   * Joins a module's chunks.
   *
   * @param list the hashes of its chunks, in order; one may occur more than once
   * @param moduleHash the SHA-256 that the module must have
   * @throws RejectError when a chunk is missing, or the module is too large or does not match its hash
   */
  assemble(list: readonly Uint8Array[], moduleHash: Uint8Array): Uint8Array {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (const hash of list) {
      const name = hex(hash);
      const chunk = this.#chunks.get(name);
      if (chunk === undefined) throw failed(`Chunk hash ${name} was not found`);
      length += chunk.length;
      if (length > MAX_MODULE_BYTES)
        throw failed(`the chunks are more than the ${MAX_MODULE_BYTES} bytes that a module may have`);
      chunks.push(chunk);
    }
    const module = new Uint8Array(Buffer.concat(chunks));
    const found = hashOf(module);
    if (found !== hex(moduleHash))
      throw failed(`Wasm module hash ${found} does not match given hash ${hex(moduleHash)}`);
    return module;
  }
}

/** The SHA-256 of a chunk, in hexadecimal. */
export function hashOf(chunk: Uint8Array): string {
  return createHash("sha256").update(chunk).digest("hex");
}

function hex(hash: Uint8Array): string {
  return Buffer.from(hash).toString("hex");
}

function failed(message: string): RejectError {
  return canisterError("IC0504", `Error from Wasm chunk store: ${message}.`);
}
