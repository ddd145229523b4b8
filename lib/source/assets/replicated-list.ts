/**
 * An asset canister's list by consensus, through update calls. That takes seconds and the canister's
 * cycles for every hundred assets, so one node is asked first whether anything has changed.
 */
import { createHash } from "node:crypto";
import type { CanisterCalls } from "../../ic/canister-calls.ts";
import { hexOf } from "../../tree/hash.ts";
import type { ListedAsset } from "./asset-canister.ts";
import { listAll } from "./listing.ts";

/** Milliseconds for which a node that says that nothing has changed is believed. */
const LONGEST_BELIEF_MS = 60 * 60 * 1000;

interface Listing {
  readonly assets: readonly ListedAsset[];
  /** When it was read. */
  readonly at: Date;
}

export class ReplicatedList {
  readonly #calls: CanisterCalls;
  /** `read`: of performance.now(), which setting a clock back does not affect. */
  #last: (Listing & { readonly identity: string; readonly read: number }) | undefined;

  constructor(calls: CanisterCalls) {
    this.#calls = calls;
  }

  /** The newest list. @param thorough asks the subnet, without asking one node first. @throws as listAll() */
  async newest(thorough: boolean): Promise<Listing> {
    const last = this.#last;
    if (last !== undefined && !thorough && performance.now() - last.read < LONGEST_BELIEF_MS) {
      if (identityOf(await listAll(this.#calls.signed)) === last.identity) return last;
    }
    const [at, read] = [new Date(), performance.now()];
    const assets = await listAll(this.#calls.replicated);
    this.#last = { assets, at, read, identity: identityOf(assets) };
    return this.#last;
  }
}

/** Equal for lists with the same assets and contents, whatever their order and times. */
function identityOf(assets: readonly ListedAsset[]): string {
  const hash = createHash("sha256");
  const sorted = [...assets].sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { key, encodings } of sorted) {
    const contents = encodings.map(
      ({ name, sha256, length }) => `${name} ${sha256 && hexOf(sha256)} ${length}`,
    );
    hash.update(`${JSON.stringify([key, ...contents.sort()])}\n`);
  }
  return hash.digest("hex");
}
