/** Which canisters this user has made with `icfs deploy`, so that nobody makes another without knowing. */
import { createHash } from "node:crypto";
import { appendFile, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeOwnDirectory, stateDirectory } from "../directories.ts";

/** One file a network, by its root key: the same id elsewhere is another canister. Its lines are canister ids, the oldest first. */
function fileOf(rootKey: Uint8Array): string {
  const network = createHash("sha256").update(rootKey).digest("hex").slice(0, 16);
  return join(stateDirectory("/var/lib/icfs"), "deployed", network);
}

/** Their ids, the oldest first; none when that cannot be read. */
export async function deployedOn(rootKey: Uint8Array): Promise<string[]> {
  const text = await readFile(fileOf(rootKey), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

/** @throws Error when it cannot be written down */
export async function rememberDeployed(canister: string, rootKey: Uint8Array): Promise<void> {
  const file = fileOf(rootKey);
  makeOwnDirectory(dirname(file), "set XDG_STATE_HOME to another directory");
  await appendFile(file, `${canister}\n`, { flush: true });
}
