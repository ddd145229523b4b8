/**
 * icfs boots: lists what machines fetched, from the boot ledger; checks whether the ledger was changed; finds machines that
 * booted outdated files.
 */
import { Command } from "commander";
import { messageOf, UsageError, UserError } from "../errors.ts";
import type { Boot } from "../ledger/boots.ts";
import { openLedger, readLedger } from "../ledger/ledger.ts";
import type { Transfer } from "../ledger/line.ts";
import { jsonLine, oneLine } from "../log.ts";
import { countText, sizeText } from "../units.ts";
import {
  bootLogOption,
  bootsIn,
  httpLogOption,
  type LogOptions,
  machineOf,
  momentOf,
  timesOf,
} from "./ledger.ts";
import { flag, isGiven, option, type ReadingOptions, withMirrors } from "./options.ts";

interface BootsOptions extends ReadingOptions, LogOptions {
  readonly mac?: string;
  readonly since?: number;
  readonly check?: boolean;
  readonly stale?: boolean;
  readonly json?: boolean;
}

export function bootsCommand(): Command {
  const command = new Command("boots")
    .description(
      "list what machines got, boot by boot, from the ledger that dnsmasq has written of TFTP, and from logs of HTTP",
    )
    .addOption(bootLogOption())
    .addOption(httpLogOption())
    .addOption(
      option("--mac <MAC>", "only of the machine with this MAC, or this address").argParser(machineOf),
    )
    .addOption(
      option(
        "--since <time>",
        "only boots that began since then: 2026-11-30T07:00:00Z, or how long ago: 12h, 7d",
      ).argParser(momentOf),
    )
    .addOption(
      flag(
        "--check",
        "check instead that no line was changed, taken out or put in; exit code 1 if one was; the last line's hash is printed, to be kept elsewhere",
      ).conflicts(["stale", "json"]),
    )
    .addOption(
      flag(
        "--stale",
        "list instead the machines whose last boot got other bytes than the mount that sent them serves now, or, where it is gone, the canister's newest release has",
      ),
    )
    .addOption(
      flag(
        "--json",
        "print an object a line for each boot: mac, address, since, until, transfers (via, time, address, mac, file, size, origin); with --stale of each machine: mac, address, since, changed",
      ),
    );
  return withMirrors(command).action(boots);
}

async function boots(options: BootsOptions, command: Command): Promise<void> {
  if (options.check) {
    for (const one of ["mac", "since"]) {
      if (isGiven(command, one)) throw new UsageError(`--check checks the whole ledger: leave out --${one}`);
    }
    return check(options.bootLog);
  }
  if (options.stale) return stale(options, command);
  for await (const boot of chosen(options)) {
    const { mac, address, transfers } = boot;
    if (options.json) console.log(jsonLine({ mac, address, ...timesOf(boot), transfers }));
    else console.log(oneLine(bootText(boot)));
  }
}

async function* chosen(options: BootsOptions): AsyncGenerator<Boot> {
  const { mac, since = 0 } = options;
  for await (const boot of bootsIn(options, mac)) {
    if (Date.parse(timesOf(boot).since) >= since) yield boot;
  }
}

function bootText(boot: Boot): string {
  const { mac = "no MAC", address, transfers } = boot;
  const bytes = transfers.reduce((sum, { size }) => sum + size, 0);
  const from = new Set(transfers.map(releaseText));
  const http = transfers.filter(({ via }) => via === "http").length;
  const by = http === 0 ? "" : ` (by HTTP: ${http})`;
  return `${timesOf(boot).since} ${mac} ${address}: ${countText(transfers.length, "file")}${by}, ${sizeText(bytes)}, of ${[...from].join(", and of ")}`;
}

function releaseText({ origin }: Transfer): string {
  if (origin === undefined) return "no release that is known";
  const { release, canister, header } = origin;
  if (release !== undefined) return `release ${release} of ${canister}`;
  return header === undefined
    ? `a release of ${canister} that the log does not name`
    : `snapshot ${header.slice(0, 16)} of ${canister}`;
}

/** @throws UserError when the ledger was changed, after printing where */
async function check(log: string): Promise<void> {
  await using ledger = await openLedger(log);
  let [lines, wrong, last] = [0, 0, ""];
  for await (const { file, number, problem, sha256 } of readLedger(ledger)) {
    lines += 1;
    last = sha256;
    if (problem === "") continue;
    wrong += 1;
    console.log(oneLine(`${file}:${number}: ${problem}`));
  }
  if (wrong > 0)
    throw new UserError(
      `${log}: the ledger is not as it was written: ${wrong} of ${countText(lines, "line")}`,
    );
  console.log(
    `${countText(lines, "line")} in ${countText(ledger.files.length, "file")}, each written after the one before${last && `; the last one's SHA-256 is ${last}`}`,
  );
}

/** @throws UserError when a machine's files cannot be compared, after listing the others */
async function stale(options: BootsOptions, command: Command): Promise<void> {
  const lastBoots = new Map<string, Boot>();
  for await (const boot of chosen(options)) lastBoots.set(boot.mac ?? boot.address, boot);
  const now = await import("./sent-now.ts");
  const sent = new now.SentNow(options, command);
  let [machines, unknown] = [0, 0];
  for (const boot of lastBoots.values()) {
    const { mac, address, transfers } = boot;
    let changed: string[];
    try {
      changed = await sent.changed(transfers);
    } catch (error) {
      // One machine's canister may be gone for long. The others are compared anyway.
      unknown += 1;
      console.error(oneLine(`icfs: ${mac ?? "no MAC"} ${address} cannot be compared: ${messageOf(error)}`));
      continue;
    }
    if (changed.length === 0) continue;
    machines += 1;
    const { since } = timesOf(boot);
    if (options.json) console.log(jsonLine({ mac, address, since, changed }));
    else console.log(oneLine(`${mac ?? "no MAC"} ${address}, booted ${since}: ${changed.join(", ")}`));
  }
  if (!options.json)
    console.log(`a reboot would change ${machines} of ${countText(lastBoots.size - unknown, "machine")}`);
  if (unknown > 0) throw new UserError(`${countText(unknown, "machine")} cannot be compared`);
}
