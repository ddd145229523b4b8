/** Remembers which canisters this user has created with `icfs deploy`, so that nobody creates another one by mistake. */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { Principal } from "@icp-sdk/core/principal";
import { makeOwnDirectory, stateDirectory } from "../directories.ts";
import { isAbsent } from "../errors.ts";
import { readKept } from "../kept-file.ts";
import { withLock } from "../lock.ts";
import { replaceFile, syncDirectory } from "../replace-file.ts";

/** About ten thousand canisters. */
const MOST_BYTES = 1024 * 1024;

/**
 * One file per network, named for its root key: the same id elsewhere is another canister. Its lines are canister ids, the oldest
 * first.
 */
export function deployedFile(rootKey: Uint8Array): string {
  const network = createHash("sha256").update(rootKey).digest("hex").slice(0, 16);
  return join(stateDirectory("/var/lib/icfs"), "deployed", network);
}

/** The ids of canisters deployed on this network, the oldest first; none when the file cannot be read. */
export async function deployedOn(rootKey: Uint8Array): Promise<string[]> {
  return listed(deployedFile(rootKey)).catch(() => []);
}

/** @throws Error when it cannot be written */
export async function rememberDeployed(canister: string, rootKey: Uint8Array): Promise<void> {
  const file = deployedFile(rootKey);
  makeOwnDirectory(dirname(file), "set XDG_STATE_HOME to another directory");
  await withLock(`${file}.lock`, async () => {
    const all = [...(await listed(file)), canister];
    await replaceFile(file, all.map((one) => `${one}\n`).join(""));
    await syncDirectory(dirname(file));
  });
}

/**
 * The valid lines. Older versions appended to the file, so a power cut may have left half a line, or zeros. @throws Error when
 * the file exists and cannot be read
 */
async function listed(file: string): Promise<string[]> {
  const text = await readKept(file, MOST_BYTES).then(
    ({ bytes }) => bytes.toString(),
    (error: unknown) => {
      if (isAbsent(error)) return "";
      throw error;
    },
  );
  return text.split("\n").filter(isCanister);
}

function isCanister(line: string): boolean {
  try {
    return Principal.fromText(line).toText() === line;
  } catch {
    return false;
  }
}
