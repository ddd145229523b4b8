/**
 * Simulates booting machines: several TFTP clients at once, each reading its files one after another. Runs as a process of its
 * own:
 *
 *     node bench/dnsmasq/load.ts '{"server":"192.168.7.1","clients":[["kernel","initrd"]],"seconds":10}'
 *
 * It ends when each client has read its files (over and over, with `seconds`), and prints a LoadResult.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { readFile } from "./tftp.ts";

export interface LoadOptions {
  readonly server: string;
  /** For each client, the files it reads, in order. */
  readonly clients: readonly (readonly string[])[];
  /** For how many seconds they repeat this; undefined: each reads its files once. */
  readonly seconds?: number;
}

export interface LoadResult {
  bytes: number;
  /** Files that were read completely. */
  files: number;
  /** How often each error occurred. */
  failures: Record<string, number>;
  seconds: number;
}

/** PXE ROMs also give up after about half a minute. */
const SILENCE_MS = 30_000;
/** The pause after an error before the next file: a boot loader takes a moment, too. */
const PAUSE_MS = 100;

const { server, clients, seconds }: LoadOptions = JSON.parse(process.argv[2]!);
const result: LoadResult = { bytes: 0, files: 0, failures: {}, seconds: 0 };
const end = new AbortController();
if (seconds !== undefined) setTimeout(() => end.abort(new Error("time is up")), seconds * 1000).unref();
process.once("SIGTERM", () => end.abort(new Error("asked to end")));

async function client(files: readonly string[]): Promise<void> {
  do {
    for (const file of files) {
      if (end.signal.aborted) return;
      try {
        // In two statements, because other clients add to `bytes` during the await.
        const bytes = await readFile(server, file, SILENCE_MS, end.signal);
        result.bytes += bytes;
        result.files += 1;
      } catch (error) {
        if (end.signal.aborted) return;
        // Without the path, which differs each time.
        const message = (error as Error).message.replace(/ \/\S+/, "");
        result.failures[message] = (result.failures[message] ?? 0) + 1;
        await sleep(PAUSE_MS);
      }
    }
  } while (seconds !== undefined);
}

const started = performance.now();
await Promise.all(clients.map(client));
result.seconds = (performance.now() - started) / 1000;
console.log(JSON.stringify(result));
process.exit(0);
