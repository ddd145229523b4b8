/**
 * A growing collection of subtrees under labels that are hashes. Changes stay cheap when it is large: the labels are
 * spread over buckets by their first byte, and only changed buckets are hashed again.
 */
import { balanced, type HashTree, labels } from "./hash-tree.ts";

export class LabeledMap {
  readonly #buckets = Array.from(
    { length: 256 },
    () => new Map<string, { label: Uint8Array; tree: HashTree }>(),
  );
  readonly #trees: (HashTree | undefined)[] = [];

  set(label: Uint8Array, tree: HashTree): void {
    this.#buckets[label[0]!]!.set(Buffer.from(label).toString("hex"), { label, tree });
    this.#trees[label[0]!] = undefined;
  }

  delete(label: Uint8Array): void {
    this.#buckets[label[0]!]!.delete(Buffer.from(label).toString("hex"));
    this.#trees[label[0]!] = undefined;
  }

  tree(): HashTree {
    const trees = this.#buckets.map((bucket, index) => {
      this.#trees[index] ??= labels(Array.from(bucket.values(), ({ label, tree }) => [label, tree] as const));
      return this.#trees[index];
    });
    return balanced(trees.filter((tree) => tree.kind !== "empty"));
  }
}
