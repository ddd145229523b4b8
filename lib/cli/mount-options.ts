/** The options of `icfs mount`, with their values and defaults. */
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { ListenAddress } from "../bounded-server.ts";
import { stateDirectory } from "../directories.ts";
import { messageOf } from "../errors.ts";
import type { TransportName } from "../fs/choose-transport.ts";
import { defaultMountOptions } from "../fs/mounting/fuse-options.ts";
import type { Prefetch } from "../mount/options.ts";
import { numberOf } from "../process/accounts.ts";
import {
  flag,
  maxStaleOption,
  mirrorOptions,
  named,
  option,
  type ReadingOptions,
  withSource,
} from "./options.ts";
import {
  accessLogOption,
  addGroup,
  cacheOptions,
  duration,
  followOptions,
  listenAddress,
  logLevelOption,
  metricsOption,
  retryOption,
  type ServingOptions,
  statsFileOption,
} from "./serving-options.ts";

export interface MountCommandOptions extends ReadingOptions, ServingOptions {
  readonly foreground?: boolean;
  readonly transport?: TransportName;
  readonly allowOther: boolean;
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly dirMode: number;
  /** Durations in milliseconds, here and below. */
  readonly readTimeout: number;
  readonly open: "now" | "whole";
  readonly openTimeout: number;
  readonly prefetch: Prefetch;
  readonly ready: "verified" | "hydrated";
  readonly maxStale: number;
  readonly allChannels?: boolean;
  readonly offline?: boolean;
  readonly context?: string;
  readonly listXattrs?: boolean;
  readonly logFile: string;
  readonly serve?: ListenAddress;
  readonly json?: boolean;
}

const DEFAULTS = defaultMountOptions("");
/** The next value, -1, means "no owner" to chown(2) and others. */
const LARGEST_ID = 2 ** 32 - 2;
/** A TFTP server that blocks for longer would hold up the DHCP service of a whole site. */
const DEFAULT_READ_TIMEOUT_S = 10;
/** Shorter than the time after which TFTP clients give up. */
const DEFAULT_OPEN_TIMEOUT_S = 30;

/** Adds the options of `icfs mount`, including those of withSource(). */
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
    flag(
      "--allow-other",
      "let other users read, as TFTP servers must; by default when root mounts",
      DEFAULTS.allowOther,
    ),
    new Option("--no-allow-other", "only the user who mounts can read"),
    account(
      "--uid <user>",
      "owner of all files, by name or number; by default the user who mounts",
      "user",
      DEFAULTS.uid,
    ),
    account(
      "--gid <group>",
      "group of all files, by name or number; by default the group of the user who mounts",
      "group",
      DEFAULTS.gid,
    ),
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
    ...cacheOptions("; 0: none"),
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
    flag(
      "--all-channels",
      "show each channel of an icfs canister as a directory, such as stable/ and canary/, which follows that channel; channels that are added or deleted come and go",
    ),
    ...followOptions(),
    maxStaleOption(
      "refuse to open files once the proof is older than this, such as 12h or 7d; a mirror's proof counts up to this age, instead of 5 minutes",
    ),
    retryOption("0, or 2 minutes for mount(8) and for icfs@.service"),
    flag("--offline", "serve what is kept on this host, and never ask the network"),
  ]);
  addGroup(command, "The daemon:", [
    option(
      "--transport <name>",
      "how to talk to the kernel; default: kernel for root on Linux, else fuse-native",
    ).choices(["kernel", "fuse-native"]),
    logLevelOption(),
    option("--log-file <file>", "where the daemon logs; reopened on SIGHUP")
      .default(join(stateDirectory("/var/log"), "icfs.log"))
      .argParser(named("a file")),
    statsFileOption(),
    metricsOption(),
    option(
      "--serve <addr>",
      "serve by HTTP what this host has of the release, for hosts that mount with --mirror http://ADDR, and to boot from: HOST:PORT, [::]:PORT, or PORT, which listens on 127.0.0.1 only; default: none",
    ).argParser(listenAddress),
    accessLogOption(),
    flag(
      "--json",
      "print one object: canister, mountpoint, source, release and header, or snapshot, or channels, verified, files, bytes, certifiedAt, warning, pid",
    ),
  ]);
  return command;
}

/** @param kind users or groups. Names are resolved at once, so that an unknown one is reported before anything is mounted */
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

function mode(flags: string, description: string, standard: number): Option {
  return option(flags, description)
    .default(standard, `0${standard.toString(8)}`)
    .argParser((text) => {
      if (!/^0?[0-7]{3}$/.test(text))
        throw new InvalidArgumentError("Use permissions in octal, such as 0444.");
      return Number.parseInt(text, 8);
    });
}

/** @throws InvalidArgumentError when it is not just a label: it becomes part of a list of options */
function securityLabel(text: string): string {
  if (!/^[\w:.,-]+$/.test(text)) {
    throw new InvalidArgumentError("Use a label such as system_u:object_r:tftpdir_t:s0.");
  }
  return text;
}
