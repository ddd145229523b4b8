/** For `icfs boots --stale`: which of the files that a machine got it would get otherwise now. */
import type { Transfer } from "../ledger/line.ts";
import { hexOf } from "../tree/hash.ts";
import type { Tree } from "../tree/tree.ts";
import type { Sender } from "./ledger.ts";
import type { ReadingOptions } from "./options.ts";
import { openForReading } from "./reading.ts";

export class SentNow {
  readonly #senderOf: (file: string) => Promise<Sender | undefined>;
  readonly #options: ReadingOptions;
  /** By what was opened: many machines get the same files. */
  readonly #trees = new Map<string, Promise<Tree>>();
  readonly #hashes = new Map<string, Promise<string | undefined>>();

  constructor(senderOf: (file: string) => Promise<Sender | undefined>, options: ReadingOptions) {
    this.#senderOf = senderOf;
    this.#options = options;
  }

  /** The paths of those that are other now, or gone. What was of no release is not among them. @throws Error of the source */
  async changed(transfers: readonly Transfer[]): Promise<string[]> {
    const paths = new Set<string>();
    for (const { file, origin } of transfers) {
      if (origin?.sha256 === undefined) continue;
      const now = await this.#now(file, origin.canister, origin.path);
      if (now !== origin.sha256) paths.add(file);
    }
    return [...paths];
  }

  #now(file: string, canister: string, path: string): Promise<string | undefined> {
    let known = this.#hashes.get(file);
    if (known === undefined) {
      known = this.#find(file, canister, path);
      this.#hashes.set(file, known);
    }
    return known;
  }

  async #find(file: string, canister: string, pathThen: string): Promise<string | undefined> {
    const sender = await this.#senderOf(file);
    const { text, options, path } = sender ?? { text: canister, options: this.#options, path: pathThen };
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
