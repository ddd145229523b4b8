/** All assets of a canister, page by page. */

import { FormatError } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { MAX_ENTRIES } from "../../tree/manifest.ts";
import { fewAttempts } from "../few-attempts.ts";
import { type ListedAsset, listPage } from "./canister.ts";

/** A page is 100 assets, and a round trip or a round of consensus. */
const PARALLEL_PAGES = 8;

/** In no order, each key once. @throws FormatError; what `call` throws */
export async function listAll(call: Call): Promise<ListedAsset[]> {
  const page = (start: number) => fewAttempts(() => listPage(call, start));
  const first = await page(0);
  const found = new Map(first.map((asset) => [asset.key, asset]));
  // Older canisters answer with everything, again and again: then a page brings nothing new.
  for (let start = first.length, isMore = first.length > 0; isMore; ) {
    const starts = Array.from({ length: PARALLEL_PAGES }, (_, i) => start + i * first.length);
    // The first of them alone: most canisters have one page.
    const pages = start === first.length ? [await page(start)] : await Promise.all(starts.map(page));
    for (const assets of pages) {
      isMore = isMore && assets.some(({ key }) => !found.has(key));
      for (const asset of assets) found.set(asset.key, asset);
    }
    if (found.size > MAX_ENTRIES) throw new FormatError(`it has more than ${MAX_ENTRIES} assets`);
    start += pages.length * first.length;
  }
  return [...found.values()];
}
