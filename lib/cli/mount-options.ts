/** The options of `icfs mount`: what they are called, what they take, and what they are by default. */
import { isIPv6 } from "node:net";
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { cacheDirectory, stateDirectory } from "../directories.ts";
import { messageOf } from "../errors.ts";
import type { TransportName } from "../fs/choose-transport.ts";
import { defaultMountOptions } from "../fs/mounting/fuse-options.ts";
import { isLogLevel, type LogLevel } from "../log.ts";
import type { ListenAddress, Prefetch } from "../mount/options.ts";
import { numberOf } from "../process/accounts.ts";
import { limitText, parseDuration, parseMebibytes } from "../units.ts";
import {
  flag,
  maxStaleOption,
  mirrorOptions,
  named,
  option,
  parsedDuration,
  type ReadingOptions,
  withSource,
} from "./options.ts";

export interface MountCommandOptions extends ReadingOptions {
  readonly foreground?: boolean;
  readonly transport?: TransportName;
  readonly allowOther: boolean;
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly dirMode: number;
  /** Bytes. */
  readonly memory: number;
  readonly cacheDir: string;
  /** Bytes; 0: no disk cache. */
  readonly maxCacheSize: number;
  /** Durations in milliseconds, here and below. */
  readonly readTimeout: number;
  readonly open: "now" | "whole";
  readonly openTimeout: number;
  readonly prefetch: Prefetch;
  readonly ready: "verified" | "hydrated";
  readonly refresh: number;
  readonly quiet: number;
  readonly switchWithin: number;
  readonly maxStale: number;
  readonly retry: number;
  readonly offline?: boolean;
  readonly context?: string;
  readonly listXattrs?: boolean;
  readonly logLevel: LogLevel;
  readonly logFile: string;
  readonly statsFile?: string;
  readonly metrics?: ListenAddress;
  readonly json?: boolean;
}

const DEFAULTS = defaultMountOptions("");
const MIB = 1024 * 1024;
/** The next one, -1, means "nobody's" to chown(2) and the like. */
const LARGEST_ID = 2 ** 32 - 2;
/** A boot's working set, kernel and initrd, several times over. */
const DEFAULT_MEMORY = 256 * MIB;
/** Less does not hold a chunk and those that are read ahead. */
const LEAST_MEMORY = MIB;
/** Some dozen installers. */
export const DEFAULT_CACHE_SIZE = 4096 * MIB;
/** A TFTP server that waits longer keeps the whole site's DHCP waiting. */
const DEFAULT_READ_TIMEOUT_S = 10;
/** Before this tftp clients give up. */
const DEFAULT_OPEN_TIMEOUT_S = 30;
/** A minute's delay is nothing to a publisher, and a query a minute nothing to a canister. */
const DEFAULT_REFRESH_S = 60;
/** Between a boot loader's files, and while a person looks at its menu. */
const DEFAULT_QUIET_S = 30;
/** Longer than any boot; a rack that never stops booting must not keep its release for ever. */
const DEFAULT_SWITCH_WITHIN_S = 600;

/** Adds them, with those of withSource(). */
export function withMountOptions(command: Command): Command {
  command.addOption(
    flag(
      "-f, --foreground",
      "stay, and log to stderr; else return when it is live and leave a daemon behind",
    ),
  );
  withSource(command);
  addGroup(command, "Mirrors:", mirrorOptions());
  addGroup(command, "Who may read:", [
    flag("--allow-other", "let other users read, as TFTP servers must", DEFAULTS.allowOther),
    new Option("--no-allow-other", "only the user who mounts can read"),
    account("--uid <user>", "owner of all files, by name or number", "user", DEFAULTS.uid),
    account("--gid <group>", "group of all files, by name or number", "group", DEFAULTS.gid),
    mode("--file-mode <octal>", "permissions of files; executables get x where r is", DEFAULTS.fileMode),
    mode("--dir-mode <octal>", "permissions of directories", DEFAULTS.dirMode),
    option(
      "--context <label>",
      "SELinux label of all files, such as system_u:object_r:tftpdir_t:s0",
    ).argParser(securityLabel),
    flag(
      "--list-xattrs",
      "list the attributes user.icfs.*, which are answered anyway; then programs that copy files copy them",
    ),
  ]);
  addGroup(command, "Caches:", [
    size(
      "--memory <size>",
      "memory for verified chunks; a plain number is MiB",
      DEFAULT_MEMORY,
      LEAST_MEMORY,
    ),
    option("--cache-dir <dir>", "where verified chunks are kept")
      .default(cacheDirectory())
      .argParser(named("a directory")),
    size(
      "--max-cache-size <size>",
      "disk for them, in its blocks; a plain number is MiB; 0: none",
      DEFAULT_CACHE_SIZE,
      0,
    ),
    option("--prefetch <what>", "fetch before it is asked for: all, what a boot configuration names, or none")
      .choices(["all", "boot", "none"])
      .default("all"),
    option("--ready <when>", "be ready when the release is verified, or when all of it has been fetched")
      .choices(["verified", "hydrated"])
      .default("verified"),
  ]);
  addGroup(command, "Reading:", [
    duration("--read-timeout <time>", "a read that takes longer fails with EIO", DEFAULT_READ_TIMEOUT_S, 1),
    option("--open <when>", "open a file now, or when it is whole and verified; whole is for tftpd-hpa")
      .choices(["now", "whole"])
      .default("now"),
    duration(
      "--open-timeout <time>",
      "with --open whole: opening fails after this",
      DEFAULT_OPEN_TIMEOUT_S,
      1,
    ),
  ]);
  addGroup(command, "Releases:", [
    duration(
      "--refresh <time>",
      "look for a new release this often, and on SIGHUP; 0: only then",
      DEFAULT_REFRESH_S,
    ),
    duration(
      "--quiet <time>",
      "a new release waits until no file was open for this long; 0: not at all",
      DEFAULT_QUIET_S,
    ),
    duration(
      "--switch-within <time>",
      "it goes live at the latest this long after it is ready, though files are in use",
      DEFAULT_SWITCH_WITHIN_S,
    ),
    maxStaleOption(
      "refuse to open files once the proof is older than this, such as 12h or 7d; also accept a mirror's proof up to this age, instead of 5 minutes",
    ),
    option(
      "--retry <time>",
      "when the network does not answer, and nothing is kept, go on trying for this long; a plain number is minutes, as for NFS",
    )
      .default(0, "0, or 2 minutes for mount(8)")
      .argParser(minutes),
    flag("--offline", "serve what is kept on this host, and never ask the network"),
  ]);
  addGroup(command, "The daemon:", [
    option(
      "--transport <name>",
      "how to talk to the kernel; default: kernel for root on Linux, else fuse-native",
    ).choices(["kernel", "fuse-native"]),
    option("--log-level <level>", "debug, info, warn or error").default("info").argParser(logLevel),
    option("--log-file <file>", "where the daemon logs; opened anew on SIGHUP")
      .default(join(stateDirectory("/var/log"), "icfs.log"))
      .argParser(named("a file")),
    option("--stats-file <file>", "write counters there, in JSON, on SIGUSR1 and at the end").argParser(
      named("a file"),
    ),
    option(
      "--metrics <addr>",
      "serve metrics for Prometheus at http://ADDR/metrics: HOST:PORT, [::1]:PORT, or PORT, which is 127.0.0.1's and only this host's; default: none",
    ).argParser(listenAddress),
    flag(
      "--json",
      "print one object: canister, mountpoint, source, release and header, or snapshot, verified, files, bytes, certifiedAt, warning, pid",
    ),
  ]);
  return command;
}

function addGroup(command: Command, heading: string, options: readonly Option[]): void {
  for (const one of options) command.addOption(one.helpGroup(heading));
}

/** @param kind whose names it takes; they are looked up at once, so that a name that is unknown is known before anything is mounted */
function account(flags: string, description: string, kind: "user" | "group", standard: number): Option {
  return option(flags, description)
    .default(standard)
    .argParser((text) => {
      const value = /^\d+$/.test(text) ? Number(text) : namedAccount(kind, text);
      if (value > LARGEST_ID) throw new InvalidArgumentError(`Use a number up to ${LARGEST_ID}.`);
      return value;
    });
}

/** @throws InvalidArgumentError */
function namedAccount(kind: "user" | "group", name: string): number {
  try {
    return numberOf(kind, name);
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}. Use a name that it knows, or a number.`);
  }
}

function size(flags: string, description: string, standard: number, least: number): Option {
  return option(flags, description)
    .default(standard, limitText(standard))
    .argParser((text) => {
      const bytes = parseMebibytes(text);
      if (bytes === undefined || bytes < least) {
        throw new InvalidArgumentError(`Use a size from ${least / MIB} MiB, such as 64MiB or 4GiB.`);
      }
      return bytes;
    });
}

/** @param standard in seconds, as is @param least */
function duration(flags: string, description: string, standard: number, least = 0): Option {
  return option(flags, description)
    .default(standard * 1000, `${standard} s`)
    .argParser(parsedDuration(least));
}

/** @throws InvalidArgumentError */
function minutes(text: string): number {
  const milliseconds = parseDuration(/^[\d.]+$/.test(text) ? `${text}m` : text);
  if (milliseconds === undefined) throw new InvalidArgumentError("Use minutes, or a time such as 90s or 5m.");
  return milliseconds;
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

/** @throws InvalidArgumentError */
function listenAddress(text: string): ListenAddress {
  const [, ipv6, name, port] = /^(?:\[([^\]]*)\]:|([\w.-]*):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535 || (ipv6 !== undefined && !isIPv6(ipv6))) {
    throw new InvalidArgumentError("Use HOST:PORT, [IPV6]:PORT, or PORT for 127.0.0.1.");
  }
  // Whoever names no host has not said that others may ask.
  return { host: ipv6 ?? (name || "127.0.0.1"), port: Number(port) };
}

/** @throws InvalidArgumentError when it is more than a label: it becomes part of a list of options */
function securityLabel(text: string): string {
  if (!/^[\w:.,-]+$/.test(text)) {
    throw new InvalidArgumentError("Use a label such as system_u:object_r:tftpdir_t:s0.");
  }
  return text;
}

function logLevel(text: string): LogLevel {
  if (!isLogLevel(text)) throw new InvalidArgumentError("Use debug, info, warn or error.");
  return text;
}
