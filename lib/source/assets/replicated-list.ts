/**
 * An asset canister's list by consensus: update calls, which all of the subnet answers. That takes seconds and the canister's
 * cycles for every hundred assets, so one node is asked first whether anything is new.
 */
import { createHash } from "node:crypto";
import type { CanisterCalls } from "../../ic/canister-calls.ts";
import { hexOf } from "../../tree/hash.ts";
import type { ListedAsset } from "./asset-canister.ts";
import { listAll } from "./listing.ts";

/** A node that hides what is new can do so for so long, in milliseconds. */
const LONGEST_BELIEF_MS = 60 * 60 * 1000;

interface Listing {
  readonly assets: readonly ListedAsset[];
  /** When it was read. */
  readonly at: Date;
}

export class ReplicatedList {
  readonly #calls: CanisterCalls;
  /** `read`: of performance.now(), which no clock that is set back makes younger. */
  #last: (Listing & { readonly identity: string; readonly read: number }) | undefined;

  constructor(calls: CanisterCalls) {
    this.#calls = calls;
  }

  /** @param thorough asks all nodes, whatever the one says. @throws what calls throw */
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
