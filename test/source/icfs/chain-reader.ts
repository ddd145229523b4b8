/** A reader of a made-up canister. */
import type { Head, ReleaseReader } from "../../../lib/source/icfs/release-reader.ts";
import { decodeHeader, headerHash } from "../../../lib/tree/header.ts";

/** The reader of a canister with these releases. The last one is the newest. */
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
