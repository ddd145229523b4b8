/** Options of long-running processes that serve a canister: a mount, and `icfs serve`. */
import { isIPv6 } from "node:net";
import { type Command, InvalidArgumentError, type Option } from "commander";
import type { ListenAddress } from "../bounded-server.ts";
import { cacheDirectory } from "../directories.ts";
import { isLogLevel, type LogLevel } from "../log.ts";
import { limitText, parseDuration, parseMebibytes } from "../units.ts";
import { named, option, parsedDuration } from "./options.ts";

export interface ServingOptions {
  /** Bytes. */
  readonly memory: number;
  readonly cacheDir: string;
  /** Bytes; 0: no disk cache. */
  readonly maxCacheSize: number;
  /** Durations in milliseconds, here and below. */
  readonly refresh: number;
  readonly quiet: number;
  readonly switchWithin: number;
  readonly retry: number;
  readonly logLevel: LogLevel;
  readonly statsFile?: string;
  readonly metrics?: ListenAddress;
  readonly accessLog?: string;
}

const MIB = 1024 * 1024;
/** The working set of a boot, kernel and initrd, several times over. */
const DEFAULT_MEMORY = 256 * MIB;
/** The minimum for a chunk and the chunks read ahead. */
const LEAST_MEMORY = MIB;
/** A few dozen installers. */
export const DEFAULT_CACHE_SIZE = 4096 * MIB;
/** A delay of a minute does not matter to a publisher, nor a query a minute to a canister. */
const DEFAULT_REFRESH_S = 60;
/** Covers the pauses between a boot loader's files, and while a person looks at its menu. */
const DEFAULT_QUIET_S = 30;
/** Longer than any boot; but a rack that never stops booting must not keep its release for ever. */
const DEFAULT_SWITCH_WITHIN_S = 600;

/** --memory, --cache-dir, --max-cache-size. @param noDisk describes what a size of 0 means */
export function cacheOptions(noDisk: string): Option[] {
  return [
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
      `disk for them, in its blocks; a plain number is MiB${noDisk}`,
      DEFAULT_CACHE_SIZE,
      0,
    ),
  ];
}

/** --refresh, --quiet, --switch-within. */
export function followOptions(): Option[] {
  return [
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
      "it goes live no later than this after it is ready, even if files are in use",
      DEFAULT_SWITCH_WITHIN_S,
    ),
  ];
}

/** --retry. @param standard the text for the default */
export function retryOption(standard: string): Option {
  return option(
    "--retry <time>",
    "keep trying for this long if the network does not answer and nothing is cached; a plain number is minutes, as for NFS",
  )
    .default(0, standard)
    .argParser(minutes);
}

/** --log-level. */
export function logLevelOption(): Option {
  return option("--log-level <level>", "debug, info, warn or error").default("info").argParser(logLevel);
}

/** --stats-file. */
export function statsFileOption(): Option {
  return option("--stats-file <file>", "write counters there, in JSON, on SIGUSR1 and at the end").argParser(
    named("a file"),
  );
}

/** --metrics. */
export function metricsOption(): Option {
  return option(
    "--metrics <addr>",
    "serve metrics for Prometheus at http://ADDR/metrics: HOST:PORT, [::1]:PORT, or PORT, which listens on 127.0.0.1 only; default: none",
  ).argParser(listenAddress);
}

/** --access-log. */
export function accessLogOption(): Option {
  return option(
    "--access-log <file>",
    "write a line there for each file that is sent by HTTP, for `icfs boots --http-log`; at 64 MiB it becomes FILE.1; default: none",
  ).argParser(named("a file"));
}

/** Adds options under a heading of the help. */
export function addGroup(command: Command, heading: string, options: readonly Option[]): void {
  for (const one of options) command.addOption(one.helpGroup(heading));
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

/** @param standard the default in seconds @param least in seconds */
export function duration(flags: string, description: string, standard: number, least = 0): Option {
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

/** @throws InvalidArgumentError */
export function listenAddress(text: string): ListenAddress {
  const [, ipv6, name, port] = /^(?:\[([^\]]*)\]:|([\w.-]*):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535 || (ipv6 !== undefined && !isIPv6(ipv6))) {
    throw new InvalidArgumentError("Use HOST:PORT, [IPV6]:PORT, or PORT for 127.0.0.1.");
  }
  // Others must not get access unless a host is named.
  return { host: ipv6 ?? (name || "127.0.0.1"), port: Number(port) };
}

function logLevel(text: string): LogLevel {
  if (!isLogLevel(text)) throw new InvalidArgumentError("Use debug, info, warn or error.");
  return text;
}
