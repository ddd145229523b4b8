/** Runs icfs as its users do: the commands that publish a directory to a canister and mount it. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountsBelow, Process, type RunOptions, run } from "./process.ts";

const ICFS = fileURLToPath(new URL("../bin/icfs", import.meta.url));

/** The output of `icfs publish --json`. */
export interface Published {
  release: number;
  /** SHA-256 of the release's header, in hexadecimal. */
  header: string;
  files: number;
  bytes: number;
  chunks: number;
  /** The URL of its files for HTTP clients. */
  url: string;
}

/** The content of a mount's --stats-file at its end. */
export interface Statistics {
  release: number;
  header: string;
  chunksVerified: number;
  bytesVerified: number;
  cacheHits: number;
  cacheMisses: number;
}

/** Starts a local network on a free port; resolves to the process and its URL when it is ready. */
export async function startLocalnet({
  env,
  signal,
}: RunOptions): Promise<{ localnet: Process; url: string }> {
  const localnet = new Process(ICFS, ["localnet", "--port", "0"], env);
  try {
    const [, url] = await localnet.until(/(http:\/\/[\d.]+:\d+)\s/, { seconds: 30, signal });
    return { localnet, url: url! };
  } catch (error) {
    await localnet.stop();
    throw error;
  }
}

/**
 * Creates the canister with the id `canister` on the local network `url`; resolves to the id that was printed.
 *
 * @param more options of `icfs deploy`
 */
export async function deploy(
  canister: string,
  url: string,
  options: RunOptions,
  more: readonly string[] = [],
): Promise<string> {
  const args = ["deploy", "--specified-id", canister, "--network", url, ...more];
  const output = await run(ICFS, args, { ...options, seconds: 60 });
  return output.trim().split("\n").at(-1)!;
}

/** Publishes a directory as the canister's next release, within two minutes unless the options say otherwise. */
export async function publish(
  directory: string,
  canister: string,
  url: string,
  options: RunOptions,
): Promise<Published> {
  const args = ["publish", directory, canister, "--network", url, "--json"];
  return JSON.parse(await run(ICFS, args, { seconds: 120, ...options }));
}

/** The log file of the daemon of the mount at `mountpoint`. */
export function mountLog(mountpoint: string): string {
  return join(dirname(mountpoint), "mount.log");
}

export interface Mount extends AsyncDisposable {
  /** Unmounts and returns the mount's counters; disposing afterwards does nothing. */
  end(): Promise<Statistics>;
}

/**
 * Mounts the canister at `mountpoint`, an empty directory. The daemon writes `mount.log` and `statistics.json` beside it.
 *
 * @param more options of `icfs mount`
 */
export async function mount(
  canister: string,
  mountpoint: string,
  url: string,
  options: RunOptions,
  more: readonly string[] = [],
): Promise<Mount> {
  const statistics = join(dirname(mountpoint), "statistics.json");
  const args = ["mount", canister, mountpoint, "--network", url, "--stats-file", statistics];
  args.push("--log-file", mountLog(mountpoint), ...more);
  const unmount = async () => {
    if (mountsBelow(mountpoint).length > 0) await run(ICFS, ["umount", mountpoint], { env: options.env });
  };
  try {
    await run(ICFS, args, { ...options, seconds: 60 });
  } catch (error) {
    await unmount();
    throw error;
  }
  return {
    end: async () => {
      await unmount();
      return JSON.parse(await readFile(statistics, "utf8"));
    },
    [Symbol.asyncDispose]: unmount,
  };
}
