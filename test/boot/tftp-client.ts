/** TFTP's client: curl, as a machine on the test's network would run it. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HOST_ADDRESS, type Namespace } from "../../demo/namespace.ts";
import { run } from "../../demo/process.ts";

/** TFTP as it was first, in blocks of 512, and with options, in blocks that fill an Ethernet frame, as boot ROMs ask. */
export const PLAIN = ["--tftp-no-options"];
export const LARGE_BLOCKS = ["--tftp-blksize", "1468"];
/** curl's exit code for TFTP's error "file not found". */
export const NOT_FOUND = 68;

export function tftpUrl(address: string, name: string): string {
  return `tftp://${address}/${name.split("/").map(encodeURIComponent).join("/")}`;
}

export interface FetchOptions {
  /** curl's options. */
  readonly tftp: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Seconds for all of them. */
  readonly seconds?: number;
}

/**
 * Fetches files from the server in the namespace, one after the other, and writes them below `directory` under their names.
 *
 * @throws Error with curl's exit code and message for the first that fails; it has what had come of that
 */
export async function fetchFiles(
  namespace: Namespace,
  names: readonly string[],
  directory: string,
  { tftp, env = process.env, seconds = 100 }: FetchOptions,
): Promise<void> {
  const wanted: string[] = [];
  for (const name of names) {
    const to = join(directory, name);
    await mkdir(dirname(to), { recursive: true });
    // curl makes no file when no byte comes.
    await writeFile(to, "");
    wanted.push("--output", to, tftpUrl(HOST_ADDRESS, name));
  }
  const options = ["--silent", "--show-error", "--fail-early", ...tftp];
  await run(...namespace.inside("curl", [...options, ...wanted]), { env, seconds });
}
