/**
 * Options that several commands share, each with its environment variable and default; addresses.ts parses their values. This
 * module loads no network code: `icfs mount` only starts a copy of itself, which does, and every start should be fast.
 */
import { fileURLToPath } from "node:url";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../errors.ts";
import type { ConnectionOptions } from "../ic/transport/connections.ts";
import type { EqualMirrors } from "../source/icfs/mirrors.ts";
import type { SourceKind, Trust } from "../source/source.ts";
import { parseDuration } from "../units.ts";

export interface NetworkOptions extends ConnectionOptions {
  readonly network: string;
  readonly rootKey?: string;
  readonly identity?: string;
  readonly identityPassphraseFile?: string;
}

/**
 * An option with an environment variable, ICFS_ and its long name. An empty variable counts as unset.
 *
 * @param plural whether the variable may hold several values
 */
export function option(flags: string, description: string, plural = false): Option {
  const made = new Option(flags, description);
  return made.env(environmentVariable(made, plural ? "S" : ""));
}

/**
 * A flag whose environment variable is yes or no. (Commander takes any value for yes.)
 *
 * @throws UsageError for another value
 */
export function flag(flags: string, description: string, standard?: boolean): Option {
  const made = new Option(flags, description);
  const variable = environmentVariable(made);
  const set = process.env[variable];
  if (set !== undefined && !/^(yes|no|true|false|1|0)$/.test(set)) {
    throw new UsageError(`${variable} is "${set}": set it to yes or no`);
  }
  made.description += ` (env: ${variable}=yes|no)`;
  if (!set) return made.default(standard);
  const isYes = /^(yes|true|1)$/.test(set);
  // The value of --no-lint is called lint.
  return made.default(made.negate ? !isYes : isYes);
}

/**
 * Whether an option is on the command line, not only in its environment variable. A variable may be set for other commands: where it has
 * no meaning, because an option that it belongs to was not given, it is ignored. (Options that restrict what icfs does, such as
 * --mirror-only, are errors in either place: nobody should believe that they hold.)
 */
export function isGiven(command: Command, option: string): boolean {
  return command.getOptionValueSource(option) === "cli";
}

/** The variable's name. An empty variable is removed from the environment, where Commander would count it as set. */
function environmentVariable(option: Option, ending = ""): string {
  const name = `ICFS_${option.name().toUpperCase().replaceAll("-", "_")}${ending}`;
  if (process.env[name] === "") delete process.env[name];
  return name;
}

/**
 * Parses an argument or option that names something on disk. An unset shell variable yields "", which would mean the working
 * directory.
 *
 * @param what such as "a directory". @throws InvalidArgumentError
 */
export function named(what: string): (text: string) => string {
  return (text) => {
    if (text === "") throw new InvalidArgumentError(`Name ${what}.`);
    return text;
  };
}

/** How the help describes the default of --identity for commands that sign. */
export const OWN_IDENTITY = "your own, made on first use (icfs identity)";

/** --network, for commands that need only the name of the network. */
export function networkOption(): Option {
  return option(
    "--network <ic|local|URL>",
    "the network that the canister is on; HOST:PORT is a URL, too; URL,URL names several of its gateways",
  ).default("ic");
}

/** How the help describes the value of --identity. */
export const IDENTITY_ARGUMENT = "a private key, mode 0600, or dfx:NAME, icp:NAME";

/** --identity-passphrase-file. */
export function passphraseOption(): Option {
  return option(
    "--identity-passphrase-file <FILE>",
    "file with the passphrase of an encrypted key, mode 0600; or fd:N, a file descriptor; default: ask on the terminal",
  ).argParser(named("a file or fd:N"));
}

/**
 * Adds --network, --root-key, --identity, --identity-passphrase-file, --proxy, --noproxy and --ca-bundle. The last three take effect
 * before the command begins.
 */
export function withNetwork(command: Command, identity: string): Command {
  return command
    .hook("preAction", connectAsSaid)
    .addOption(networkOption())
    .addOption(
      option(
        "--root-key <HEX|FILE>",
        "the network's root key; built in for ic, fetched from loopback networks, required for others",
      ).argParser(named("a key or a file")),
    )
    .addOption(
      option("--identity <PEM>", `${IDENTITY_ARGUMENT}; default: ${identity}`).argParser(named("a PEM file")),
    )
    .addOption(passphraseOption())
    .addOption(
      option(
        "--proxy <URL|FILE>",
        "reach the network through this HTTP proxy; put a URL with a password in a file of mode 0600, and give its absolute path; none: use no proxy; default: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say",
      ),
    )
    .addOption(
      option(
        "--noproxy <HOSTS>",
        "reach these hosts, such as a mirror at this site, without the proxy: names, domains, addresses and ranges, with commas between them; without it NO_PROXY counts, unless --proxy is given",
      ).argParser(named("hosts")),
    )
    .addOption(
      option(
        "--ca-bundle <PEM>",
        "certificates of further authorities to trust for TLS, besides this host's and Node's",
      ).argParser(named("a file of certificates")),
    );
}

/** @throws UserError */
async function connectAsSaid(command: Command): Promise<void> {
  const options: ConnectionOptions = command.opts();
  const { proxy, noproxy, caBundle } = options;
  if (proxy === undefined && noproxy === undefined && caBundle === undefined) return;
  const { useConnections } = await import("../ic/transport/connections.ts");
  useConnections(options, isGiven(command, "proxy"));
}

/** The argument of commands that read, which take `CANISTER@3` and `CANISTER@stable` as well. */
export const RELEASE_ARGUMENT =
  "canister id; with @NUMBER an older release, with @NAME what a channel stands for, such as oeagv-5qaaa-aaaah-aar4q-cai@3 or @stable";

export interface ReadingOptions extends NetworkOptions, Partial<MirrorOptions> {
  readonly source?: SourceKind;
  readonly trust: Trust;
}

export interface MirrorOptions {
  readonly mirror?: readonly EqualMirrors[];
  readonly mirrorOnly?: boolean;
  /** Milliseconds. */
  readonly maxStale: number;
}

/** --mirror and --mirror-only. */
export function mirrorOptions(): Option[] {
  return [
    option(
      "--mirror <URL>",
      "ask this mirror before the network: an http: or https: URL with /.icfs/ below it, or file: and a directory that `icfs mirror` has made; for several mirrors, repeat the option, nearest first; mirrors with commas between them share the requests; the variable has blanks in place of repeats",
      true,
    ).argParser((text: string, before: readonly EqualMirrors[] = []) => [
      ...before,
      ...text
        .split(/\s+/)
        .filter((one) => one !== "")
        .map((equal) => equal.split(",").map(mirrorUrl)),
    ]),
    flag("--mirror-only", "ask only the mirrors, never the network"),
  ];
}

/** A mirror's URL, as it is requested. @throws InvalidArgumentError */
function mirrorUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isFile = url?.protocol === "file:";
  if (url === undefined || !(isFile || url.protocol === "http:" || url.protocol === "https:")) {
    throw new InvalidArgumentError("Use a URL such as http://cache.example/tftp, or file:/srv/mirror.");
  }
  if (isFile && (url.host !== "" || !/^file:\//i.test(text))) {
    throw new InvalidArgumentError("Use the directory's absolute path, as in file:/srv/mirror.");
  }
  if (isFile && !isPath(url)) {
    throw new InvalidArgumentError("In a file: URL write %25 for %, and no %2F or %00.");
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new InvalidArgumentError("Leave out logins, and what follows a ? or #.");
  }
  return url.href.replace(/\/+$/, "");
}

/** Whether a file: URL is a plain path. */
function isPath(url: URL): boolean {
  try {
    return !fileURLToPath(url).includes("\0");
  } catch {
    return false;
  }
}

/** @throws UsageError when --mirror-only is given without a mirror */
export function checkMirrors({ mirror = [], mirrorOnly }: Partial<MirrorOptions>): void {
  if (mirrorOnly && mirror.length === 0) {
    throw new UsageError("--mirror-only needs a mirror: name one with --mirror URL");
  }
}

/** --max-stale. @param description says what is refused, or accepted, by the age of a proof */
export function maxStaleOption(description: string): Option {
  return option("--max-stale <time>", description)
    .default(Number.POSITIVE_INFINITY, "no limit")
    .argParser(parsedDuration(0));
}

/** @param least in seconds. @throws InvalidArgumentError */
export function parsedDuration(least: number): (text: string) => number {
  return (text) => {
    const milliseconds = parseDuration(text);
    if (milliseconds === undefined || milliseconds < 1000 * least) {
      throw new InvalidArgumentError(`Use a time from ${least} s, such as 10, 90s, 5m, 12h or 7d.`);
    }
    return milliseconds;
  };
}

/** Adds --mirror, --mirror-only and --max-stale, and the options of withSource(). */
export function withMirrors(command: Command): Command {
  withSource(command);
  for (const one of mirrorOptions()) command.addOption(one);
  return command.addOption(
    maxStaleOption(
      "how old a mirror's proof of the newest release may be, such as 7d, if none is fresh",
    ).default(Number.POSITIVE_INFINITY, "5 minutes"),
  );
}

/** --source, for commands that take canisters of several kinds. */
export function sourceOption(): Option {
  return option("--source <kind>", "what kind of canister it is; default: icfs detects it").choices([
    "icfs",
    "icboot",
    "assets",
  ]);
}

/** Adds --source and --trust, and the options of withNetwork(). */
export function withSource(command: Command): Command {
  return withNetwork(command, "none, anonymous")
    .addOption(sourceOption())
    .addOption(
      option(
        "--trust <how>",
        "how to read an icboot canister, which certifies nothing: query, signed by one node, or replicated, by consensus, which takes seconds",
      )
        .choices(["query", "replicated"])
        .default("query"),
    );
}
