/** Recognizes readers that read a tree's files one after the other, as `cp -r`, `tar` and installers do. */
import { FILES_IN_ORDER } from "../../readahead.ts";
import type { Tree } from "../../tree/tree.ts";

/** Directories and symlinks between two files, at most. */
const FARTHEST = 16;
/** Readers that are tracked at once. */
const MOST_READERS = 16;

export class ReadingOrder {
  /** For the last opened files, by number: how many consecutive files were opened up to and including each. */
  readonly #runs = new WeakMap<Tree, Map<number, number>>();

  /** Takes note that a file is opened. @returns whether it is one of several in the tree's order */
  opened(tree: Tree, index: number): boolean {
    let runs = this.#runs.get(tree);
    if (runs === undefined) {
      runs = new Map<number, number>();
      this.#runs.set(tree, runs);
    }
    let before = index - 1;
    while (before > index - FARTHEST && tree.nodes[before]?.entry.kind !== "file") before -= 1;
    const run = Math.max((runs.get(before) ?? 0) + 1, runs.get(index) ?? 0);
    runs.delete(before);
    runs.delete(index);
    runs.set(index, run);
    if (runs.size > MOST_READERS) runs.delete(runs.keys().next().value!);
    return run >= FILES_IN_ORDER;
  }
}
