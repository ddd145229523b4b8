/** All assets of a canister, page by page. */
import { FormatError } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { MAX_ENTRIES } from "../../tree/limits.ts";
import { fewAttempts } from "../few-attempts.ts";
import { type ListedAsset, listPage } from "./asset-canister.ts";

/** Pages that are requested at once. A page has 100 assets, and takes a round trip or a round of consensus. */
const PARALLEL_PAGES = 8;
/** A canister that returns more at once returns everything. */
const LARGEST_PAGE = 100;
/** Only the last page may have fewer assets: otherwise a node could cause a hundred thousand requests. */
const LEAST_PAGE = 50;
const ATTEMPTS = 3;

/** All assets, in no order, each key once. @throws FormatError; Error when the list keeps changing; what `call` throws */
export async function listAll(call: Call): Promise<ListedAsset[]> {
  for (let attempt = 1; ; attempt++) {
    const found = await listOnce((start) => fewAttempts(() => listPage(call, start)));
    if (found !== undefined) return found;
    if (attempt === ATTEMPTS) {
      throw new Error("its list changes while it is read, or comes a few assets at a time");
    }
  }
}

/**
 * Each page begins with the last asset of the previous one. If it does not, something was stored or deleted meanwhile, and an
 * asset may have moved to a page that was already read.
 *
 * @returns undefined when that has happened, or pages are too small
 */
async function listOnce(page: (start: number) => Promise<ListedAsset[]>): Promise<ListedAsset[] | undefined> {
  const first = await page(0);
  const found = new Map(first.map((asset) => [asset.key, asset]));
  const step = first.length - 1;
  if (step < 1 || first.length > LARGEST_PAGE) return [...found.values()];
  let last = first.at(-1)!.key;
  for (let start = step; ; ) {
    // The first page alone: most canisters have only one.
    const starts = Array.from({ length: start === step ? 1 : PARALLEL_PAGES }, (_, i) => start + i * step);
    for (const assets of await Promise.all(starts.map(page))) {
      // Older canisters always return everything.
      if (assets.length === first.length && assets.every(({ key }) => found.has(key)))
        return [...found.values()];
      if (assets[0]?.key !== last) return undefined;
      for (const asset of assets) found.set(asset.key, asset);
      if (found.size > MAX_ENTRIES) throw new FormatError(`it has more than ${MAX_ENTRIES} assets`);
      if (assets.length <= step) return [...found.values()];
      if (first.length < LEAST_PAGE) return undefined;
      last = assets.at(-1)!.key;
    }
    start += starts.length * step;
  }
}
