/** icfs cat: prints the verified bytes of a file. */
import { constants } from "node:os";
import { pipeline } from "node:stream/promises";
import { Command } from "commander";
import { FileReader } from "../cache/file-reader.ts";
import { messageOf, UserError } from "../errors.ts";
import { nameOf } from "../source/words.ts";
import { checkOrder } from "./argument-order.ts";
import { RELEASE_ARGUMENT, type ReadingOptions, withMirrors } from "./options.ts";
import { openForReading } from "./reading.ts";
import { readingCache } from "./reading-cache.ts";

export function catCommand(): Command {
  const command = new Command("cat")
    .description("write a file of a canister's newest release to stdout, verified")
    .argument("<canister>", RELEASE_ARGUMENT)
    .argument("<path>", "relative to the root; symlinks are followed");
  return withMirrors(command).action(cat);
}

async function cat(canister: string, path: string, options: ReadingOptions): Promise<void> {
  checkOrder(canister, path, (id, inside) => `icfs cat ${id} ${inside}`);
  const { release, source, tree } = await openForReading(canister, options);
  const entry = tree.find(path)?.entry;
  if (entry === undefined) throw new UserError(`${path}: not in ${nameOf(release)}`);
  if (entry.kind !== "file") throw new UserError(`${path}: is a directory`);
  const bytes = new FileReader([entry], tree.chunks, readingCache(source)).read(0);
  try {
    await pipeline(bytes, process.stdout, { end: false });
  } catch (error) {
    // The reader has seen enough. Exit as other programs do, which die of SIGPIPE silently.
    if ((error as NodeJS.ErrnoException).code === "EPIPE") process.exit(128 + constants.signals.SIGPIPE);
    throw new UserError(`${path}: ${messageOf(error)}`, { cause: error });
  }
}
