/**
 * The file for the root key of `icfs localnet`. mount(8) must not ask a port for the key on which any local user could listen.
 */
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeDirectory, stateDirectory } from "../directories.ts";
import { LOCAL_PORT } from "../ic/network.ts";
import { replaceFile } from "../replace-file.ts";

/** @param url of a network on this host */
export function localnetKeyFile(url: string): string {
  return join(stateDirectory("/var/lib/icfs"), `localnet-${new URL(url).port}.key`);
}

export interface LocalnetKey {
  readonly file: string;
  /** Deletes the file. */
  remove(): void;
}

/** Writes a root key to its file, in hexadecimal. @throws Error with the system's code */
export async function writeLocalnetKey(url: string, rootKey: Uint8Array): Promise<LocalnetKey> {
  const file = localnetKeyFile(url);
  makeDirectory(dirname(file), 0o700);
  // A root key is public.
  await replaceFile(file, `${Buffer.from(rootKey).toString("hex")}\n`, 0o644);
  return { file, remove: () => rmSync(file, { force: true }) };
}

/** The line for /etc/fstab that mounts a canister of a local network. */
export function localnetFstabLine(url: string, file: string): string {
  const network = new URL(url).port === String(LOCAL_PORT) ? "local" : url;
  return `CANISTER /srv/tftp icfs ro,nofail,network=${network},root-key=${file} 0 0`;
}
