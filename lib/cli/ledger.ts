/** What `icfs boots` and `icfs explain` share: their options, and the ledger's boots. */
import { isIP } from "node:net";
import { InvalidArgumentError, type Option } from "commander";
import { FormatError, UserError } from "../errors.ts";
import { type Boot, bootsOf, inOrderOfTime } from "../ledger/boots.ts";
import { type HttpLine, parseHttpLine } from "../ledger/http-line.ts";
import { type OpenLedger, openLedger, openLogs, readLedger, readLines } from "../ledger/ledger.ts";
import { parseMac, plainAddress, type Transfer } from "../ledger/line.ts";
import { parseDuration } from "../units.ts";
import { named, option } from "./options.ts";

export const BOOT_LOG = "/var/log/icfs-boots.log";

export function bootLogOption(): Option {
  return option("--boot-log <file>", "the boot ledger; what was rotated from it is read as well")
    .default(BOOT_LOG)
    .argParser(named("a file"));
}

export function httpLogOption(): Option {
  return option(
    "--http-log <file>",
    "also read what nginx (docs/ROLLOUTS.md) or --access-log has written of files that were sent by HTTP, and what was rotated from it; for several logs, repeat the option; the variable has blanks in place of repeats",
    true,
  ).argParser((text: string, before: readonly string[] = []) => [
    ...before,
    ...text.split(/\s+/).filter((one) => one !== ""),
  ]);
}

/** A machine: its MAC address, or the address under which the ledger lists it. @throws InvalidArgumentError */
export function machineOf(text: string): string {
  const machine = parseMac(text) ?? (isIP(text) === 0 ? undefined : plainAddress(text));
  if (machine === undefined) throw new InvalidArgumentError("Use a MAC such as 52:54:00:69:63:66.");
  return machine;
}

/** Milliseconds since 1970. @throws InvalidArgumentError */
export function momentOf(text: string): number {
  // A number alone may be meant as a year or a day.
  const ago = /[smhd]$/.test(text) ? parseDuration(text) : undefined;
  if (ago !== undefined) return Math.max(0, Date.now() - ago);
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new InvalidArgumentError("Use a time such as 2026-11-30T07:00:00Z, or how long ago: 90s, 12h, 7d.");
}

export interface LogOptions {
  readonly bootLog: string;
  readonly httpLog?: readonly string[];
}

/**
 * The boots in the logs, oldest first, of all machines or a given one. Reports on stderr how many lines cannot be read, and how
 * many files were not sent completely by HTTP.
 *
 * @throws UserError
 */
export async function* bootsIn(
  { bootLog, httpLog = [] }: LogOptions,
  machine?: string,
): AsyncGenerator<Boot> {
  const counts = { damaged: 0, foreign: 0, parts: 0, http: 0 };
  await using stack = new AsyncDisposableStack();
  const logs: AsyncIterable<Transfer>[] = [];
  // Machines that boot only by HTTP have no ledger.
  const ledger = httpLog.length === 0 ? await openLedger(bootLog) : await openLogs(bootLog);
  if (ledger !== undefined) logs.push(ledgerTransfers(stack.use(ledger), counts));
  for (const log of httpLog) {
    const opened = await openLogs(log);
    if (opened === undefined) throw new UserError(`${log}: there is no such log`);
    logs.push(httpTransfers(stack.use(opened), counts));
  }
  for await (const boot of bootsOf(inOrderOfTime(logs))) {
    if (
      machine === undefined ||
      machine === boot.mac ||
      boot.transfers.some((one) => one.address === machine)
    )
      yield boot;
  }
  const { damaged, foreign, parts, http } = counts;
  if (damaged > 0)
    console.error(`icfs: lines that cannot be read: ${damaged}; \`icfs boots --check\` says which`);
  if (foreign > 0) console.error(`icfs: lines of HTTP logs that say nothing to icfs: ${foreign}`);
  if (parts > 0)
    console.error(`icfs: answers by HTTP that broke off, or had a part of a file, left out: ${parts}`);
  if (http > 0)
    console.error("icfs: HTTP logs have no chain of hashes: whoever can write to one can change it");
}

interface Counts {
  damaged: number;
  foreign: number;
  parts: number;
  http: number;
}

async function* ledgerTransfers(ledger: OpenLedger, counts: Counts): AsyncGenerator<Transfer> {
  for await (const { transfer } of readLedger(ledger)) {
    if (transfer === undefined) counts.damaged += 1;
    else yield transfer;
  }
}

async function* httpTransfers(log: OpenLedger, counts: Counts): AsyncGenerator<Transfer> {
  for await (const { bytes, problem } of readLines(log)) {
    const line = problem === "" ? httpLineOf(bytes) : undefined;
    if (line === undefined) counts.foreign += 1;
    else if (line.kind === "part") counts.parts += 1;
    else if (line.kind === "whole") {
      counts.http += 1;
      yield line.transfer;
    }
  }
}

function httpLineOf(bytes: Buffer): HttpLine | undefined {
  try {
    return parseHttpLine(bytes.toString("utf8", 0, bytes.length - 1));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** When the first and the last file of a boot had been sent. */
export function timesOf({ transfers }: Boot): { since: string; until: string } {
  return { since: transfers[0]!.time, until: transfers.at(-1)!.time };
}
