/** icfs boots: what machines got, by the boot ledger; whether the ledger is what was written; which machines have got what is old by now. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import type { Boot } from "../ledger/boots.ts";
import { logFiles, readLedger } from "../ledger/ledger.ts";
import type { Transfer } from "../ledger/line.ts";
import { jsonLine, oneLine } from "../log.ts";
import { countText, sizeText } from "../units.ts";
import { bootLogOption, bootsIn, machineOf, momentOf, senderOf, timesOf } from "./ledger.ts";
import { flag, option, type ReadingOptions, withMirrors } from "./options.ts";

interface BootsOptions extends ReadingOptions {
  readonly bootLog: string;
  readonly mac?: string;
  readonly since?: number;
  readonly check?: boolean;
  readonly stale?: boolean;
  readonly json?: boolean;
}

export function bootsCommand(): Command {
  const command = new Command("boots")
    .description("list what machines got by TFTP, boot by boot, from the ledger that dnsmasq has written")
    .addOption(bootLogOption())
    .addOption(option("--mac <MAC>", "of this machine only; or its address").argParser(machineOf))
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
      ).conflicts(["stale", "json", "mac", "since"]),
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
        "print an object a line for each boot: mac, address, since, until, transfers (time, address, mac, file, size, origin); with --stale of each machine: mac, address, since, changed",
      ),
    );
  return withMirrors(command).action(boots);
}

async function boots(options: BootsOptions, command: Command): Promise<void> {
  if (options.check) return check(options.bootLog);
  if (options.stale) return stale(options, command);
  for await (const boot of chosen(options)) {
    const { mac, address, transfers } = boot;
    if (options.json) console.log(jsonLine({ mac, address, ...timesOf(boot), transfers }));
    else console.log(oneLine(bootText(boot)));
  }
}

async function* chosen({ bootLog, mac, since = 0 }: BootsOptions): AsyncGenerator<Boot> {
  for await (const boot of bootsIn(bootLog, mac)) {
    if (Date.parse(timesOf(boot).since) >= since) yield boot;
  }
}

function bootText(boot: Boot): string {
  const { mac = "no MAC", address, transfers } = boot;
  const bytes = transfers.reduce((sum, { size }) => sum + size, 0);
  const from = new Set(transfers.map(releaseText));
  return `${timesOf(boot).since} ${mac} ${address}: ${countText(transfers.length, "file")}, ${sizeText(bytes)}, of ${[...from].join(", and of ")}`;
}

function releaseText({ origin }: Transfer): string {
  if (origin === undefined) return "no release that is known";
  const { release, canister, header } = origin;
  return `${release === undefined ? `snapshot ${header.slice(0, 16)}` : `release ${release}`} of ${canister}`;
}

/** @throws UserError when the ledger is not as it was written, after printing what is wrong */
async function check(log: string): Promise<void> {
  const files = await logFiles(log);
  let [lines, wrong, last] = [0, 0, ""];
  for await (const { file, number, problem, sha256 } of readLedger(files)) {
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
    `${countText(lines, "line")} in ${countText(files.length, "file")}, each written after the one before${last && `; the last one's SHA-256 is ${last}`}`,
  );
}

/** @throws UserError when a file cannot be compared */
async function stale(options: BootsOptions, command: Command): Promise<void> {
  const lastBoots = new Map<string, Boot>();
  for await (const boot of chosen(options)) lastBoots.set(boot.mac ?? boot.address, boot);
  const now = await import("./sent-now.ts");
  const sent = new now.SentNow((file) => senderOf(file, options, command), options);
  let machines = 0;
  for (const boot of lastBoots.values()) {
    const { mac, address, transfers } = boot;
    const changed = await sent.changed(transfers);
    if (changed.length === 0) continue;
    machines += 1;
    const { since } = timesOf(boot);
    if (options.json) console.log(jsonLine({ mac, address, since, changed }));
    else console.log(oneLine(`${mac ?? "no MAC"} ${address}, booted ${since}: ${changed.join(", ")}`));
  }
  if (!options.json)
    console.log(`a reboot would change ${machines} of ${countText(lastBoots.size, "machine")}`);
}
