/**
 * Files in a canister's directory that are named by the SHA-256 of their content: its module, and the chunks in its
 * chunk store. A record says which of them count. They are written before the first record that names them and removed
 * after the first that does not, so an interruption leaves only files that no record names.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { damaged, replaceFile } from "./sealed-file.ts";

export class HashedFiles {
  readonly #directory: string;
  readonly #prefix: string;
  readonly #suffix: string;

  /** The files named prefix, hash in hexadecimal, suffix. */
  constructor(directory: string, prefix: string, suffix: string) {
    this.#directory = directory;
    this.#prefix = prefix;
    this.#suffix = suffix;
  }

  write(hash: string, content: Uint8Array): void {
    replaceFile(join(this.#directory, this.#name(hash)), content);
  }

  /** @throws Error when the file is missing or does not match its name */
  read(hash: string): Uint8Array {
    const file = join(this.#directory, this.#name(hash));
    if (!existsSync(file)) throw damaged(file, "it is missing");
    const content = new Uint8Array(readFileSync(file));
    if (createHash("sha256").update(content).digest("hex") !== hash) throw damaged(file);
    return content;
  }

  /** Removes all files except for these. */
  keepOnly(hashes: readonly string[]): void {
    const kept = new Set(hashes.map((hash) => this.#name(hash)));
    for (const name of readdirSync(this.#directory)) {
      if (name.startsWith(this.#prefix) && !kept.has(name)) rmSync(join(this.#directory, name));
    }
  }

  #name(hash: string): string {
    return this.#prefix + hash + this.#suffix;
  }
}
