/** icfs mount: a release as a read-only directory. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, type Option } from "commander";
import { messageOf } from "../errors.ts";
import { isBackgroundChild, notifyFailed, notifyReady, runInBackground } from "../fs/daemon.ts";
import { defaultMountOptions } from "../fs/mount-options.ts";
import { createLog, isLogLevel, type LogLevel } from "../log.ts";
import { type MountDescription, serveMount } from "../mount.ts";
import { megabytes } from "../units.ts";
import {
  flag,
  type NetworkOptions,
  option,
  RELEASE_ARGUMENT,
  releaseAddressOf,
  withNetwork,
} from "./options.ts";

interface MountCommandOptions extends NetworkOptions {
  readonly foreground?: boolean;
  readonly allowOther: boolean;
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly dirMode: number;
  readonly memory: number;
  readonly readTimeout: number;
  readonly logLevel: LogLevel;
  readonly logFile: string;
  readonly statsFile?: string;
  readonly json?: boolean;
}

const DEFAULTS = defaultMountOptions("");
/** A boot's working set, kernel and initrd, several times over. */
const DEFAULT_MEMORY_MIB = 256;
/** A TFTP server that waits longer keeps the whole site's DHCP waiting. */
const DEFAULT_READ_TIMEOUT_S = 10;

export function mountCommand(): Command {
  const command = new Command("mount")
    .description("mount a canister's newest release, verified, as a read-only directory")
    .argument("<canister>", RELEASE_ARGUMENT)
    .argument("<mountpoint>", "an existing directory")
    .addOption(
      flag(
        "-f, --foreground",
        "stay, and log to stderr; else return when it is live and leave a daemon behind",
      ),
    );
  return withNetwork(command, "none, anonymous")
    .addOption(flag("--allow-other", "let other users read, as TFTP servers must", DEFAULTS.allowOther))
    .option("--no-allow-other", "only the user who mounts can read")
    .addOption(number("--uid <uid>", "owner of all files", DEFAULTS.uid, 0))
    .addOption(number("--gid <gid>", "group of all files", DEFAULTS.gid, 0))
    .addOption(
      mode("--file-mode <octal>", "permissions of files; executables get x where r is", DEFAULTS.fileMode),
    )
    .addOption(mode("--dir-mode <octal>", "permissions of directories", DEFAULTS.dirMode))
    .addOption(number("--memory <MiB>", "memory for verified chunks", DEFAULT_MEMORY_MIB, 1))
    .addOption(
      number("--read-timeout <s>", "a read that takes longer fails with EIO", DEFAULT_READ_TIMEOUT_S, 1),
    )
    .addOption(
      option("--log-level <level>", "debug, info, warn or error").default("info").argParser(logLevel),
    )
    .addOption(option("--log-file <file>", "where the daemon logs").default(defaultLogFile()))
    .addOption(option("--stats-file <file>", "write counters there, in JSON, on SIGUSR1 and at the end"))
    .addOption(flag("--json", "print one object: canister, mountpoint, release, header, files, bytes, pid"))
    .action(mount);
}

async function mount(canister: string, mountpoint: string, options: MountCommandOptions): Promise<void> {
  if (options.foreground || isBackgroundChild()) {
    await serve(canister, mountpoint, options);
    // libfuse's threads would keep the process.
    process.exit(0);
  }
  const { pid, message } = await runInBackground({
    argv: process.argv.slice(1),
    env: process.env,
    logFile: options.logFile,
  });
  report(message as unknown as MountDescription, pid, options);
}

async function serve(canister: string, mountpoint: string, options: MountCommandOptions): Promise<void> {
  try {
    await serveMount(
      () => releaseAddressOf(canister, options),
      {
        mountpoint,
        mount: { ...options, source: canister },
        memory: options.memory * 1024 * 1024,
        readTimeout: options.readTimeout * 1000,
        // The daemon leaves this directory.
        ...(options.statsFile === undefined ? {} : { statsFile: resolve(options.statsFile) }),
        log: createLog(options.logLevel),
      },
      async (mounted) => {
        if (options.foreground) report(mounted, process.pid, options);
        else await notifyReady({ ...mounted });
      },
    );
  } catch (error) {
    await notifyFailed(new Error(messageOf(error)));
    throw error;
  }
}

function report(mounted: MountDescription, pid: number, { json }: MountCommandOptions): void {
  const { canister, mountpoint, release, files, bytes } = mounted;
  console.log(
    json
      ? JSON.stringify({ ...mounted, pid })
      : `mounted release ${release} of ${canister} at ${mountpoint}: ${files} files, ${megabytes(bytes)}`,
  );
}

function number(flags: string, description: string, standard: number, least: number): Option {
  return option(flags, description)
    .default(standard)
    .argParser((text) => {
      const value = Number(text);
      if (!/^\d+$/.test(text) || value < least || value > 2 ** 31) {
        throw new InvalidArgumentError(`Use a whole number from ${least}.`);
      }
      return value;
    });
}

function mode(flags: string, description: string, standard: number): Option {
  return option(flags, description)
    .default(standard, `0${standard.toString(8)}`)
    .argParser((text) => {
      if (!/^0?[0-7]{3}$/.test(text))
        throw new InvalidArgumentError("Use permissions in octal, such as 0444.");
      return Number.parseInt(text, 8);
    });
}

function logLevel(text: string): LogLevel {
  if (!isLogLevel(text)) throw new InvalidArgumentError("Use debug, info, warn or error.");
  return text;
}

function defaultLogFile(): string {
  const state = process.env.XDG_STATE_HOME;
  if (state) return join(state, "icfs", "icfs.log");
  return process.getuid!() === 0 ? "/var/log/icfs.log" : join(homedir(), ".local/state/icfs/icfs.log");
}
