/** Uploads a directory to an asset canister (test/support/assets.ts), in pieces like the IC's own uploader. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { assetsActor, filling } from "../../test/support/assets.ts";

/** Smaller files share a message. */
const LARGE_BYTES = 1_000_000;

export interface Assets {
  /**
   * Uploads the files at these keys ("/version.info"), each in full. The real uploader finds out by queries which files differ,
   * and these cost nothing.
   */
  upload(keys: readonly string[]): Promise<void>;
}

/** @param directory the files to upload; links are followed, since an asset canister has none */
export function assetsOf(directory: string, agent: HttpAgent, canister: Principal): Assets {
  const { store, storeAll } = filling(assetsActor(agent, canister));
  return {
    async upload(keys) {
      const contents = await Promise.all(
        keys.map(async (key) => [key, await readFile(join(directory, key))] as const),
      );
      for (const [key, content] of contents) if (content.length >= LARGE_BYTES) await store(key, content);
      await storeAll(contents.filter(([, content]) => content.length < LARGE_BYTES));
    },
  };
}

/** The keys and sizes of all files of a directory, links followed. */
export async function filesOf(directory: string): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  const walk = async (key: string) => {
    const status = await stat(join(directory, key));
    if (status.isFile()) files.set(key, status.size);
    if (!status.isDirectory()) return;
    for (const name of await readdir(join(directory, key))) await walk(`${key}/${name}`);
  };
  await walk("");
  return files;
}
