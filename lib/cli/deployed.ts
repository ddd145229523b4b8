/** Which canisters this user has made with `icfs deploy`, so that nobody makes another without knowing. */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { Principal } from "@icp-sdk/core/principal";
import { makeOwnDirectory, stateDirectory } from "../directories.ts";
import { isAbsent } from "../errors.ts";
import { readKept } from "../kept-file.ts";
import { withLock } from "../lock.ts";
import { replaceFile, syncDirectory } from "../replace-file.ts";

/** Some ten thousand canisters. */
const MOST_BYTES = 1024 * 1024;

/** One file a network, by its root key: the same id elsewhere is another canister. Its lines are canister ids, the oldest first. */
export function deployedFile(rootKey: Uint8Array): string {
  const network = createHash("sha256").update(rootKey).digest("hex").slice(0, 16);
  return join(stateDirectory("/var/lib/icfs"), "deployed", network);
}

/** Their ids, the oldest first; none when that cannot be read. */
export async function deployedOn(rootKey: Uint8Array): Promise<string[]> {
  return listed(deployedFile(rootKey)).catch(() => []);
}

/** @throws Error when it cannot be written down */
export async function rememberDeployed(canister: string, rootKey: Uint8Array): Promise<void> {
  const file = deployedFile(rootKey);
  makeOwnDirectory(dirname(file), "set XDG_STATE_HOME to another directory");
  await withLock(`${file}.lock`, async () => {
    const all = [...(await listed(file)), canister];
    await replaceFile(file, all.map((one) => `${one}\n`).join(""));
    await syncDirectory(dirname(file));
  });
}

/** Older versions appended to it: a power cut may have left half a line, or zeros. @throws Error when it is there and cannot be read */
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
