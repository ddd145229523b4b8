/** A reader of a canister that a test has made up. */
import type { Head, ReleaseReader } from "../../../lib/source/icfs/release-reader.ts";
import { decodeHeader, headerHash } from "../../../lib/tree/header.ts";

/** Of a canister with these releases, the last of which is the newest. */
export function readerOf(headers: readonly Buffer[]): ReleaseReader {
  const newest = headers.at(-1);
  const head = async (): Promise<Head | undefined> =>
    newest && {
      header: decodeHeader(newest),
      hash: headerHash(newest),
      certifiedAt: new Date(),
      proof: newest,
    };
  return {
    head,
    restore: async () => (await head())!,
    headers: async (from: number, count: number) => headers.slice(Math.max(0, from - count), from).reverse(),
    manifest: () => Promise.reject(new Error("nobody asks")),
    chunk: () => Promise.reject(new Error("nobody asks")),
  };
}
