/** icfs mount: shows a canister's releases as a read-only directory. */
import { Command, Option } from "commander";
import { UsageError } from "../errors.ts";
import { isOfAutomounter } from "../fs/mounting/automount.ts";
import { checkHost } from "../fs/mounting/host.ts";
import type { MountDescription } from "../live/report/status.ts";
import { takeNotifySocket } from "../live/report/systemd.ts";
import { jsonLine, oneLine } from "../log.ts";
import { isBackgroundChild, notifyReady, runInBackground } from "../process/daemon.ts";
import { exitProcess } from "../process/exit.ts";
import { servedInWords, VOUCHED } from "../source/words.ts";
import { ageText, sizeText } from "../units.ts";
import { checkOrder } from "./argument-order.ts";
import { splitOptions } from "./mount-helper.ts";
import { refusalOf } from "./mount-helper-refused.ts";
import { type MountCommandOptions, withMountOptions } from "./mount-options.ts";
import { checkMirrors, isGiven, named, RELEASE_ARGUMENT } from "./options.ts";
import { warnOfTrust } from "./warnings.ts";

/** @param announce called with text about the finished mount @param warn called with text while nothing is mounted yet */
export function mountCommand(
  announce: (text: string) => void = console.log,
  warn: (text: string) => void = (text) => console.error(`icfs: ${oneLine(text)}`),
): Command {
  const command = new Command("mount")
    .description(
      "mount a canister's newest release, verified, as a read-only directory that follows new ones",
    )
    .argument("<canister>", RELEASE_ARGUMENT)
    .argument("<mountpoint>", "an existing directory", named("a directory"));
  // A list of mount(8)'s options is recognized only to explain that each has a name of its own here.
  command.addOption(new Option("-o <list>").hideHelp().argParser(refuseList));
  return withMountOptions(command).action(
    (canister: string, mountpoint: string, options: MountCommandOptions, given: Command) =>
      mount(canister, mountpoint, options, given, announce, warn),
  );
}

async function mount(
  canister: string,
  mountpoint: string,
  options: MountCommandOptions,
  command: Command,
  announce: (text: string) => void,
  warn: (text: string) => void,
): Promise<void> {
  checkOrder(canister, mountpoint, (id, directory) => `CANISTER DIR, so ${id} ${directory}`);
  // Commander knows conflicts between options regardless of their values, but some values of these two go together.
  if (options.ready === "hydrated" && options.prefetch !== "all") {
    throw new UsageError("--ready hydrated waits for what --prefetch all fetches: leave one of them out");
  }
  if (isGiven(command, "accessLog") && options.serve === undefined) {
    throw new UsageError(
      "--access-log is for what --serve sends: say where to listen, as in --serve 0.0.0.0:8080",
    );
  }
  if (options.serve !== undefined && options.maxCacheSize === 0) {
    throw new UsageError("--serve gives others what is on this host's disk: leave out --max-cache-size 0");
  }
  checkMirrors(options);
  if (options.allChannels) checkAllChannels(canister, options);
  // Report what this host lacks before waiting for the network.
  if (!isBackgroundChild()) await checkHost(options.allowOther);
  const notifySocket = takeNotifySocket();
  if (options.foreground || isBackgroundChild()) {
    // Loaded only here: the code that serves a mount takes as long to load as the rest of a start.
    const { serveHere } = await import("./mount-daemon.ts");
    await serveHere(canister, mountpoint, options, notifySocket, async (mounted) => {
      if (options.foreground) report(mounted, process.pid, options, announce);
      else await notifyReady({ ...mounted });
    });
    exitProcess(0);
  }
  // A background process has only its own file descriptors, and no terminal.
  if (options.identityPassphraseFile?.startsWith("fd:")) {
    throw new UsageError(
      "a mount in the background has no file descriptors of yours: give a file with --identity-passphrase-file, or stay with --foreground",
    );
  }
  const { pid, message } = await runInBackground({
    argv: process.argv.slice(1),
    env: process.env,
    logFile: options.logFile,
    sameGroup: await isOfAutomounter(),
    waiting: (reason) =>
      warn(
        `no answer from the network ${options.network} yet (${reason}): goes on trying for ${ageText(options.retry)} (retry); the log is ${options.logFile}`,
      ),
  });
  report(message as unknown as MountDescription, pid, options, announce);
}

/** @throws UsageError where there is only one release, or the channels are not known */
function checkAllChannels(canister: string, { source, serve, mirrorOnly }: MountCommandOptions): void {
  const at = canister.lastIndexOf("@");
  if (at >= 0) {
    throw new UsageError(
      `--all-channels shows every channel, and ${canister} is one: leave out ${canister.slice(at)}, or --all-channels`,
    );
  }
  if (source !== undefined && source !== "icfs") {
    throw new UsageError(
      `--all-channels is for icfs canisters, since no others have channels: leave out --source ${source}, or --all-channels`,
    );
  }
  if (serve !== undefined) {
    throw new UsageError(
      `--serve gives others one release, and --all-channels shows several: run \`icfs serve ${canister}@CHANNEL\` beside the mount, with the same cache`,
    );
  }
  if (mirrorOnly) {
    throw new UsageError(
      `--all-channels asks the network which channels there are, and --mirror-only asks no network: mount ${canister}@CHANNEL for each`,
    );
  }
}

function report(
  mounted: MountDescription,
  pid: number,
  { json }: MountCommandOptions,
  announce: (text: string) => void,
): void {
  const { canister, mountpoint, verified, files, bytes, warning } = mounted;
  if (!json) {
    if (warning !== undefined) console.error(`icfs: ${oneLine(warning)}`);
    warnOfTrust(canister, verified);
  }
  announce(
    json
      ? jsonLine({ ...mounted, pid })
      : `mounted ${servedInWords(mounted)} of ${canister} at ${mountpoint}: ${files} files, ${sizeText(bytes)}, ${VOUCHED[verified]}`,
  );
}

/** @throws UsageError */
function refuseList(list: string): never {
  const words = splitOptions(list);
  const refusals = words.flatMap((word) => refusalOf(word, "a release") ?? []);
  const elsewhere =
    "-o is of mount(8): mount -t icfs -o LIST CANISTER DIR. `icfs mount` has each by its name, such as --uid 65534 (icfs mount --help); ro, nosuid, nodev and noexec hold anyway";
  throw new UsageError([...refusals, elsewhere].join(". "));
}
