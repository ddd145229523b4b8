/** A TFTP client: curl, run as on a machine in the test's network. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HOST_ADDRESS, type Namespace } from "../../demo/namespace.ts";
import { run } from "../../demo/process.ts";

/** Original TFTP, in blocks of 512 bytes; and TFTP with options, in blocks that fill an Ethernet frame, as boot ROMs ask for. */
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
}

/** curl gives up after so many seconds without a byte. The time for a whole file is not limited, because it depends on the machine. */
const SILENCE_S = 120;
/** curl's options for SILENCE_S. */
export const PATIENT = ["--speed-limit", "1", "--speed-time", String(SILENCE_S)];
/** A limit for curl in seconds that is never reached: it is longer than a test file may run. */
export const HANGS_S = 3600;

/**
 * Fetches files from the server in the namespace, one after the other, and writes them below `directory` under their names.
 *
 * @throws Error with curl's exit code and message for the first file that fails; what had come of that file stays on disk
 */
export async function fetchFiles(
  namespace: Namespace,
  names: readonly string[],
  directory: string,
  { tftp, env = process.env }: FetchOptions,
): Promise<void> {
  const wanted: string[] = [];
  for (const name of names) {
    const to = join(directory, name);
    await mkdir(dirname(to), { recursive: true });
    // curl makes no file when no byte comes.
    await writeFile(to, "");
    wanted.push("--output", to, tftpUrl(HOST_ADDRESS, name));
  }
  const options = ["--silent", "--show-error", "--fail-early", ...PATIENT, ...tftp];
  await run(...namespace.inside("curl", [...options, ...wanted]), { env, seconds: HANGS_S });
}
