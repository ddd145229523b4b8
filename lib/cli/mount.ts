/** icfs mount: a canister's releases as a read-only directory. */
import { Command, Option } from "commander";
import { UsageError } from "../errors.ts";
import { isOfAutomounter } from "../fs/mounting/automount.ts";
import { jsonLine, oneLine } from "../log.ts";
import type { MountDescription } from "../mount/report/status.ts";
import { takeNotifySocket } from "../mount/report/systemd.ts";
import { isBackgroundChild, notifyReady, runInBackground } from "../process/daemon.ts";
import { exitProcess } from "../process/exit.ts";
import { namedInWords, VOUCHED } from "../source/words.ts";
import { ageText, sizeText } from "../units.ts";
import { checkOrder } from "./argument-order.ts";
import { splitOptions } from "./mount-helper.ts";
import { refusalOf } from "./mount-helper-refused.ts";
import { type MountCommandOptions, withMountOptions } from "./mount-options.ts";
import { checkMirrors, named, RELEASE_ARGUMENT } from "./options.ts";
import { warnOfTrust } from "./warnings.ts";

/** @param announce gets what is said of a mount that was made. @param warn gets what is said while nothing is mounted yet */
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
  // What mount(8) calls options has names here; its list is known in order to say so.
  command.addOption(new Option("-o <list>").hideHelp().argParser(refuseList));
  return withMountOptions(command).action(
    (canister: string, mountpoint: string, options: MountCommandOptions) =>
      mount(canister, mountpoint, options, announce, warn),
  );
}

async function mount(
  canister: string,
  mountpoint: string,
  options: MountCommandOptions,
  announce: (text: string) => void,
  warn: (text: string) => void,
): Promise<void> {
  checkOrder(canister, mountpoint, (id, directory) => `CANISTER DIR, so ${id} ${directory}`);
  // Commander knows of conflicts between options, whatever their values are; these two have some that go together.
  if (options.ready === "hydrated" && options.prefetch !== "all") {
    throw new UsageError("--ready hydrated waits for what --prefetch all fetches: leave one of them out");
  }
  if (options.serve !== undefined && options.maxCacheSize === 0) {
    throw new UsageError("--serve gives others what is on this host's disk: leave out --max-cache-size 0");
  }
  checkMirrors(options);
  const notifySocket = takeNotifySocket();
  if (options.foreground || isBackgroundChild()) {
    // Loaded here alone: all that serves a mount takes as long to load as the rest of a start.
    const { serveHere } = await import("./mount-daemon.ts");
    await serveHere(canister, mountpoint, options, notifySocket, async (mounted) => {
      if (options.foreground) report(mounted, process.pid, options, announce);
      else await notifyReady({ ...mounted });
    });
    exitProcess(0);
  }
  // What goes on in the background has no descriptor but its own, and no terminal.
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
      : `mounted ${namedInWords(mounted)} of ${canister} at ${mountpoint}: ${files} files, ${sizeText(bytes)}, ${VOUCHED[verified]}`,
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
