/** icfs mirror: saves a release as a directory that any web server, rsync or USB stick can carry. */
import { resolve } from "node:path";
import { Command } from "commander";
import { jsonLine } from "../log.ts";
import { MirrorDirectory } from "../mirror/directory.ts";
import { mirrorRelease } from "../mirror/mirror.ts";
import { createProgress, stopOnSignals } from "../publish/progress.ts";
import { detectSource } from "../source/detect.ts";
import { openReader } from "../source/icfs/open-release.ts";
import { noMirrors } from "../source/open-source.ts";
import { namesOf } from "../source/words.ts";
import { sizeText } from "../units.ts";
import { checkOrder } from "./argument-order.ts";
import { REQUEST_TIMEOUT_MS, releaseAddressOf } from "./connect.ts";
import { flag, type NetworkOptions, named, RELEASE_ARGUMENT, withNetwork } from "./options.ts";

interface MirrorCommandOptions extends NetworkOptions {
  readonly prune?: boolean;
  readonly check?: boolean;
  readonly json?: boolean;
}

export function mirrorCommand(): Command {
  const command = new Command("mirror")
    .description(
      "make or update a directory from which hosts mount with --mirror; it is verified, complete at any time, and any web server, rsync or USB stick can carry it",
    )
    .argument("<canister>", RELEASE_ARGUMENT)
    .argument(
      "<directory>",
      "a mirror, an empty directory, or one that is not there yet",
      named("a directory"),
    )
    .addOption(
      flag(
        "--prune",
        "remove chunks that the release does not use; hosts that are behind may still need them",
      ),
    )
    .addOption(
      flag(
        "--check",
        "verify all chunks that are there, and fetch damaged ones again; default: believe a chunk of the right size",
      ),
    )
    .addOption(
      flag(
        "--json",
        "print one object: canister, directory, release and header, channel and serial, where there is one, newest, certifiedAt, files, bytes, chunks, damaged, fetchedChunks, fetchedBytes, removed",
      ),
    );
  return withNetwork(command, "none, anonymous").action(mirror);
}

async function mirror(text: string, directory: string, options: MirrorCommandOptions): Promise<void> {
  checkOrder(text, directory, (id, dir) => `icfs mirror ${id} ${dir}`);
  const address = await releaseAddressOf(text, options);
  const kind = await detectSource(address, REQUEST_TIMEOUT_MS);
  if (kind !== "icfs") throw noMirrors(address, kind);
  const progress = createProgress(process.stderr);
  let opened: MirrorDirectory | undefined;
  stopOnSignals(progress, () => opened?.removeIfEmpty());
  try {
    const reader = openReader(address, REQUEST_TIMEOUT_MS);
    const { release, channel, certifiedAt, ...counts } = await MirrorDirectory.open(
      resolve(directory),
      (mirror) => {
        opened = mirror;
        return mirrorRelease(address, reader, mirror, progress, options.prune === true);
      },
      options.check === true,
      reader.proofPath,
    );
    progress.stop();
    const canister = address.canister.toText();
    const { number } = release.header;
    const { files, bytes, damaged, fetchedChunks, fetchedBytes, removed } = counts;
    if (options.json) {
      const names = namesOf({ number, hash: release.hash, channel });
      console.log(
        jsonLine({ canister, directory, ...names, certifiedAt: certifiedAt.toISOString(), ...counts }),
      );
      return;
    }
    const fixed = damaged > 0 ? `, ${damaged} of them in place of damaged ones` : "";
    const gone = options.prune ? `, ${removed} chunks removed` : "";
    console.log(
      `${directory} has release ${number} of ${canister}: ${files} files, ${sizeText(bytes)}, certified ${certifiedAt.toISOString()}; ${fetchedChunks} chunks fetched (${sizeText(fetchedBytes)})${fixed}${gone}`,
    );
  } finally {
    progress.stop();
  }
}
