/** All assets of a canister, page by page. */
import { FormatError } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { MAX_ENTRIES } from "../../tree/limits.ts";
import { fewAttempts } from "../few-attempts.ts";
import { type ListedAsset, listPage } from "./asset-canister.ts";

/** A page is 100 assets, and a round trip or a round of consensus. */
const PARALLEL_PAGES = 8;
/** Who gives more at once gives everything. */
const LARGEST_PAGE = 100;
/** Who gives fewer at once has no more: else somebody would be asked a hundred thousand times. */
const LEAST_PAGE = 50;
const ATTEMPTS = 3;

/** In no order, each key once. @throws FormatError; what `call` throws */
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
 * Each page begins with the last asset of the one before: when it does not, something was stored or deleted meanwhile, and some
 * asset may have moved out of what is read.
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
    // The first of them alone: most canisters have one page.
    const starts = Array.from({ length: start === step ? 1 : PARALLEL_PAGES }, (_, i) => start + i * step);
    for (const assets of await Promise.all(starts.map(page))) {
      // Older canisters answer with everything, whatever they are asked for.
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
