/**
 * Machines that boot: several TFTP clients at once, each reading its files one after the other. A process of its own:
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
  /** How long they go on; undefined: each reads its files once. */
  readonly seconds?: number;
}

export interface LoadResult {
  bytes: number;
  /** Files that were read to their end. */
  files: number;
  /** How often each error came. */
  failures: Record<string, number>;
  seconds: number;
}

/** As PXE ROMs do: they give up after some half minute. */
const SILENCE_MS = 30_000;
/** After an error, before the next file: a boot loader takes a moment, too. */
const PAUSE_MS = 100;

const { server, clients, seconds }: LoadOptions = JSON.parse(process.argv[2]!);
const result: LoadResult = { bytes: 0, files: 0, failures: {}, seconds: 0 };
const end = new AbortController();
if (seconds !== undefined) setTimeout(() => end.abort(new Error("the time is over")), seconds * 1000).unref();
process.once("SIGTERM", () => end.abort(new Error("asked to end")));

async function client(files: readonly string[]): Promise<void> {
  do {
    for (const file of files) {
      if (end.signal.aborted) return;
      try {
        // Not in one expression: other clients add to it meanwhile.
        const bytes = await readFile(server, file, SILENCE_MS, end.signal);
        result.bytes += bytes;
        result.files += 1;
      } catch (error) {
        if (end.signal.aborted) return;
        // Without the path, which is another one each time.
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
