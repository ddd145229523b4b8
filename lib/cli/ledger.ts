/** What `icfs boots` and `icfs explain` share: their options, the ledger's boots, and the mount that a file was sent from. */
import { isIP } from "node:net";
import { relative } from "node:path";
import { type Command, InvalidArgumentError, type Option } from "commander";
import { MOUNT_TYPE, readMounts } from "../fs/mounting/mountinfo.ts";
import { type Boot, bootsOf } from "../ledger/boots.ts";
import { logFiles, readLedger } from "../ledger/ledger.ts";
import { parseMac, type Transfer } from "../ledger/line.ts";
import { parseDuration } from "../units.ts";
import { named, option, type ReadingOptions } from "./options.ts";
import type { Named } from "./verify.ts";

export const BOOT_LOG = "/var/log/icfs-boots.log";

export function bootLogOption(): Option {
  return option("--boot-log <file>", "the boot ledger; what was rotated from it is read as well")
    .default(BOOT_LOG)
    .argParser(named("a file"));
}

/** A machine: its MAC, or the address under which the ledger has it. @throws InvalidArgumentError */
export function machineOf(text: string): string {
  const machine = parseMac(text) ?? (isIP(text) === 0 ? undefined : text);
  if (machine === undefined) throw new InvalidArgumentError("Use a MAC such as 52:54:00:69:63:66.");
  return machine;
}

/** Milliseconds since 1970. @throws InvalidArgumentError */
export function momentOf(text: string): number {
  const ago = parseDuration(text);
  if (ago !== undefined) return Date.now() - ago;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new InvalidArgumentError("Use a time such as 2026-11-30T07:00:00Z, or how long ago: 90s, 12h, 7d.");
}

/** The ledger's boots, oldest first; of one machine, if it is given. How many lines are damaged is said on stderr. @throws UserError */
export async function* bootsIn(log: string, machine?: string): AsyncGenerator<Boot> {
  let damaged = 0;
  async function* transfers(): AsyncGenerator<Transfer> {
    for await (const { transfer } of readLedger(await logFiles(log))) {
      if (transfer === undefined) damaged += 1;
      else if (machine === undefined || machine === transfer.mac || machine === transfer.address)
        yield transfer;
    }
  }
  yield* bootsOf(transfers());
  if (damaged > 0)
    console.error(`icfs: lines that cannot be read: ${damaged}; \`icfs boots --check\` says which`);
}

/** When a boot's first and last file had been sent. */
export function timesOf({ transfers }: Boot): { since: string; until: string } {
  return { since: transfers[0]!.time, until: transfers.at(-1)!.time };
}

export interface Sender extends Named {
  /** The file's path in the mount. */
  readonly path: string;
}

/**
 * The mount that a file lies in now: what it serves, and the network that it is mounted from unless another is given. Undefined when
 * no mount of ours is there.
 *
 * @throws UserError when it does not answer
 */
export async function senderOf(
  file: string,
  options: ReadingOptions,
  command: Command,
): Promise<Sender | undefined> {
  const inside = (await readMounts())
    .filter(({ type, mountpoint }) => type === MOUNT_TYPE && file.startsWith(`${mountpoint}/`))
    .map(({ mountpoint }) => mountpoint);
  if (inside.length === 0) return undefined;
  const mountpoint = inside.reduce((a, b) => (b.length > a.length ? b : a));
  const { findMount, served } = await import("./verify.ts");
  const what = await served(await findMount(mountpoint), options, command);
  return { ...what, path: relative(mountpoint, file) };
}
