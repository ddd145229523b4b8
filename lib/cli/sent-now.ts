/** For `icfs boots --stale`: finds the files that a machine fetched and would now get in another version. */
import type { Command } from "commander";
import type { Origin, Transfer } from "../ledger/line.ts";
import { hexOf } from "../tree/hash.ts";
import type { Tree } from "../tree/tree.ts";
import { senderOf, served } from "./icfs-mount.ts";
import type { ReadingOptions } from "./options.ts";
import { openForReading } from "./reading.ts";

export class SentNow {
  readonly #options: ReadingOptions;
  readonly #command: Command;
  /** Shared by all machines, since many fetch the same files. */
  readonly #trees = new Map<string, Promise<Tree>>();
  readonly #hashes = new Map<string, Promise<string | undefined>>();

  constructor(options: ReadingOptions, command: Command) {
    this.#options = options;
    this.#command = command;
  }

  /** The paths of changed or missing files; files that were not from a release are skipped. @throws Error of the source */
  async changed(transfers: readonly Transfer[]): Promise<string[]> {
    const paths = new Set<string>();
    for (const { file, origin } of transfers) {
      if (origin?.sha256 === undefined) continue;
      const now = await this.#now(file, origin);
      if (now !== origin.sha256) paths.add(file);
    }
    return [...paths];
  }

  #now(file: string, origin: Origin): Promise<string | undefined> {
    // In a URL, two canisters may have different files under the same name.
    const key = `${sourceOf(origin)} ${file}`;
    let known = this.#hashes.get(key);
    if (known === undefined) {
      known = this.#find(file, origin);
      this.#hashes.set(key, known);
    }
    return known;
  }

  async #find(file: string, origin: Origin): Promise<string | undefined> {
    const sender = await senderOf(file);
    const { text, options } =
      sender === undefined
        ? { text: sourceOf(origin), options: this.#options }
        : await served(sender.mount, this.#options, this.#command);
    const path = sender?.path ?? origin.path;
    const key = `${options.network} ${text}`;
    let tree = this.#trees.get(key);
    if (tree === undefined) {
      tree = openForReading(text, options).then((opened) => opened.tree);
      this.#trees.set(key, tree);
    }
    const entry = (await tree).find(path)?.entry;
    return entry?.kind === "file" && entry.sha256 !== undefined ? hexOf(entry.sha256) : undefined;
  }
}

/** The canister or channel that would serve the file now. */
function sourceOf({ canister, channel }: Origin): string {
  return channel === undefined ? canister : `${canister}@${channel}`;
}
