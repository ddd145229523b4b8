/**
 * The program that mount(8) starts for type icfs: bin/icfs under the name mount.icfs or mount.fuse.icfs. It is `icfs mount` with
 * the arguments, exit codes and silence that mount(8) expects. It never fetches a network's root key, since any local user could
 * listen on a loopback port before the network does.
 */
import { CommanderError } from "commander";
import { UsageError, UserError } from "../errors.ts";
import { MOUNT_TYPE, mountAt, readMounts } from "../fs/mounting/mountinfo.ts";
import { locate } from "../fs/mounting/probe.ts";
import { isMainNetwork, resolveNetwork } from "../ic/network.ts";
import { oneLine } from "../log.ts";
import { isBackgroundChild } from "../process/daemon.ts";
import { exitProcess } from "../process/exit.ts";
import { describe, isBug } from "./failure.ts";
import { localnetKeyFile } from "./localnet-key.ts";
import { mountCommand } from "./mount.ts";
import { type HelperRequest, parseHelperArguments } from "./mount-helper.ts";
import { checkWritten } from "./mount-helper-refused.ts";
import type { NetworkOptions } from "./options.ts";

/** Exit codes, see mount(8). */
const INCORRECT_INVOCATION = 1;
const INTERNAL_BUG = 4;
const MOUNT_FAILURE = 32;

/** The same as mount.nfs in the foreground. */
const DEFAULT_RETRY_MS = 120_000;

const PREFIX = "mount.icfs: ";

try {
  forgetVariables();
  await mountAsAsked(process.argv.slice(2));
} catch (error) {
  // Commander has already printed the error.
  if (!(error instanceof CommanderError)) console.error(PREFIX + describe(error));
  exitProcess(exitCodeOf(error));
}

/**
 * Only fstab and mount(8)'s command line decide what is mounted, and how; the environment of mount(8)'s caller does not. (The
 * background copy inherits what this process left, and one variable that marks it.)
 */
function forgetVariables(): void {
  if (isBackgroundChild()) return;
  for (const name of Object.keys(process.env)) if (name.startsWith("ICFS_")) delete process.env[name];
}

async function mountAsAsked(args: readonly string[]): Promise<void> {
  let announce: (text: string) => void = () => {};
  const command = mountCommand(
    (text) => announce(text),
    (text) => console.error(PREFIX + oneLine(text)),
  );
  const request = parseHelperArguments(args, command.options);
  if (request.verbose) announce = console.log;
  // The background copy has another parent, and the same arguments, which are checked already.
  if (!isBackgroundChild()) {
    await checkWritten(process.ppid, request);
    if (request.remount && !request.fake) return checkMounted(request);
  }
  command
    .name("mount.icfs")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, PREFIX)) })
    .setOptionValueWithSource("retry", DEFAULT_RETRY_MS, "default")
    .hook("preAction", (parsed) => checkRootKey(parsed.opts()));
  // Report a bad id now.
  if (request.fake)
    command.action(async () => void (await import("./addresses.ts")).parseRelease(request.spec));
  await command.parseAsync(request.argv, { from: "user" });
}

/** @throws UsageError when the root key would have to be fetched */
function checkRootKey({ network, rootKey }: NetworkOptions): void {
  const named = resolveNetwork(network);
  const { loopback, url } = named;
  if (isMainNetwork(named) || rootKey !== undefined) return;
  const why = loopback
    ? `; mount(8) is not to ask for it where any local user could answer. \`icfs localnet\` leaves it in ${localnetKeyFile(url.split(",")[0]!)}`
    : "";
  throw new UsageError(`the root key of ${url} is needed: root-key=FILE or root-key=HEX${why}`);
}

/**
 * Accepts a remount without changing anything: the options of a live mount are fixed. Programs that remount everything, as at
 * shutdown, want it read-only, which it is.
 *
 * @throws UserError when it is not mounted
 */
async function checkMounted({ spec, directory }: HelperRequest): Promise<void> {
  const mount = mountAt(await readMounts(), await locate(directory));
  if (mount?.type === MOUNT_TYPE && mount.source === spec) return;
  throw new UserError(`${spec} is not mounted at ${directory}, so that it cannot be remounted`);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError || error instanceof UsageError) return INCORRECT_INVOCATION;
  return isBug(error) ? INTERNAL_BUG : MOUNT_FAILURE;
}
