/**
 * The directory in which a local network keeps its keys and canisters (`icfs localnet --state`).
 *
 *     icfs-localnet          what this directory is, and its format
 *     lock, process          who uses it
 *     keys, next-id          the network's keys, and the number of the next canister
 *     canisters/ID/          canister-store.ts
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDirectory, makeOwnDirectory } from "../lib/directories.ts";
import { type Lock, takeLock } from "../lib/lock.ts";
import { CanisterStore, createStore, type KeptCanister } from "./canister-store.ts";
import { type NetworkSecrets, newSecrets } from "./keys.ts";
import { damaged, FILE_MODE, readSealed, replaceFile, UNFINISHED, writeSealed } from "./sealed-file.ts";

const MARKER = "icfs-localnet";
const FORMAT = 1;
const MARK = /^icfs localnet state, format (\d+)\n$/;
const LOCK = "lock";
const PROCESS = "process";
/** Files that an interrupted start may have left before it wrote the marker. */
const BEFORE_MARKER = new Set([LOCK, PROCESS, MARKER + UNFINISHED]);

export class StateDirectory {
  readonly path: string;
  readonly secrets: NetworkSecrets;
  readonly #lock: Lock;
  readonly #stores = new Set<CanisterStore>();

  private constructor(path: string, lock: Lock) {
    this.path = path;
    this.#lock = lock;
    makeDirectory(this.#canisters, 0o700);
    this.secrets = this.#secrets();
  }

  /**
   * Opens a state directory, or creates one in an empty or new directory, for this process alone.
   *
   * @throws UserError when it belongs to another user, who would know the network's keys
   * @throws Error when it is something else, in use, or damaged
   */
  static async open(path: string): Promise<StateDirectory> {
    makeOwnDirectory(path, "choose another with --state");
    const names = readdirSync(path);
    if (!names.includes(MARKER) && !names.every((name) => BEFORE_MARKER.has(name))) {
      throw new Error(`${path} is not empty, and not the state of a local network: it is left alone`);
    }
    if (names.includes(MARKER)) checkFormat(path);
    const lock = await lockOf(path);
    try {
      if (!names.includes(MARKER)) {
        replaceFile(join(path, MARKER), Buffer.from(`icfs localnet state, format ${FORMAT}\n`));
      }
      return new StateDirectory(path, lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** The number of the next canister, if any was created. */
  get nextId(): bigint | undefined {
    return readSealed(join(this.path, "next-id")) as bigint | undefined;
  }

  set nextId(next: bigint) {
    writeSealed(join(this.path, "next-id"), next);
  }

  /** Opens every canister, each with its id as text. @throws Error when one is damaged */
  *openCanisters(): Generator<[id: string, store: CanisterStore]> {
    for (const id of readdirSync(this.#canisters)) {
      const directory = join(this.#canisters, id);
      if (id.endsWith(UNFINISHED)) rmSync(directory, { recursive: true });
      else yield [id, this.#remember(new CanisterStore(directory))];
    }
  }

  createCanister(id: string, kept: KeptCanister): CanisterStore {
    return this.#remember(createStore(join(this.#canisters, id), kept));
  }

  removeCanister(store: CanisterStore): void {
    this.#stores.delete(store);
    store.remove();
  }

  /** Releases the directory. */
  close(): void {
    for (const store of this.#stores) store.close();
    this.#stores.clear();
    if (this.#lock.isOpen) this.#lock.close();
  }

  get #canisters(): string {
    return join(this.path, "canisters");
  }

  #remember(store: CanisterStore): CanisterStore {
    this.#stores.add(store);
    return store;
  }

  #secrets(): NetworkSecrets {
    const file = join(this.path, "keys");
    const found = readSealed(file) as NetworkSecrets | undefined;
    if (found !== undefined) return found;
    // New keys for old canisters would make another network, which clients must not trust.
    if (readdirSync(this.#canisters).length > 0) throw damaged(file, "it is missing");
    const secrets = newSecrets();
    writeSealed(file, secrets);
    return secrets;
  }
}

function checkFormat(path: string): void {
  const file = join(path, MARKER);
  const [, format] = MARK.exec(readFileSync(file, "utf8")) ?? [];
  if (format === undefined) throw damaged(file, "it does not say what this directory is");
  if (Number(format) !== FORMAT) {
    throw new Error(
      `${path} was written by another version of icfs: its format is ${format}, and this version knows ${FORMAT} only`,
    );
  }
}

/** Takes the directory's lock. The process id beside it is for people. @throws Error when another process has the lock */
async function lockOf(path: string): Promise<Lock> {
  const file = join(path, LOCK);
  const lock = await takeLock(file, 0).catch((error: Error) => {
    throw damaged(file, error.message);
  });
  if (lock === undefined) {
    const holderFile = join(path, PROCESS);
    const holder = existsSync(holderFile) ? ` (process ${readFileSync(holderFile, "utf8").trim()})` : "";
    throw new Error(`${path} is in use by another local network${holder}`);
  }
  writeFileSync(join(path, PROCESS), `${process.pid}\n`, { mode: FILE_MODE });
  return lock;
}
