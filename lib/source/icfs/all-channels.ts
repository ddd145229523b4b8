/**
 * All channels of an icfs canister, by one query: which there are, and what each stands for, at one moment and by one certificate. Each is
 * a source of its own, of what the last answer says, and they share the trees that they read.
 */
import type { Tree } from "../../tree/tree.ts";
import type { CanisterAddress, ReleaseAddress } from "../address.ts";
import type { KeptBy } from "../kept.ts";
import type { Pieces } from "../source.ts";
import { knownChannels } from "./accepted-releases.ts";
import { openHead } from "./open-release.ts";
import type { Head, ReleaseReader } from "./release-reader.ts";
import { type IcfsRelease, IcfsSource } from "./source.ts";

/** The readers that AllChannels needs. */
export interface ChannelReaders {
  /** A reader whose head() has all channels. */
  readonly all: ReleaseReader;
  /** A reader for the release that a channel stands for, and for what was kept of it. Its head() is not called. */
  of(channel: string): ReleaseReader;
}

/** What was answered last. */
type Answer = { readonly head: Head } | { readonly error: unknown };

export class AllChannels {
  readonly #address: CanisterAddress;
  readonly #readers: ChannelReaders;
  readonly #trees = new SharedTrees();
  #answer: Answer = { error: new Error("nobody has been asked yet") };
  #certifiedAt: Date | undefined;
  /** Chunks are known by their hashes, whichever channel they are of. */
  readonly chunks: Pick<IcfsSource, "chunk" | "known">;

  constructor(address: CanisterAddress, readers: ChannelReaders) {
    this.#address = address;
    this.#readers = readers;
    this.chunks = new IcfsSource(address, readers.all);
  }

  /**
   * Asks which channels there are: the names of those that stand for a release, in order.
   *
   * @throws as openHead(). Until the next look(), newest() of all sources throws the same
   */
  async look(): Promise<readonly string[]> {
    try {
      const head = await openHead(this.#address, this.#readers.all);
      this.#answer = { head };
      this.#certifiedAt = head.certifiedAt;
      return [...(head.channels ?? [])]
        .filter(([, { record }]) => record.release !== undefined)
        .map(([name]) => name)
        .sort();
    } catch (error) {
      this.#answer = { error };
      throw error;
    }
  }

  /** When the subnet last certified which channels there are; undefined until look() has succeeded. */
  get certifiedAt(): Date | undefined {
    return this.#certifiedAt;
  }

  /** The channels that stood for a release when this host last accepted their records. @throws UserError */
  get known(): readonly string[] {
    return knownChannels(this.#address);
  }

  /** The source of one channel. Its newest release is the one that the channel stood for at the last look(). */
  source(channel: string): KeptBy {
    const address = { ...this.#address, channel };
    const head = async () => {
      if ("error" in this.#answer) throw this.#answer.error;
      return this.#answer.head;
    };
    return { address, source: new ChannelSource(address, this.#readers.of(channel), head, this.#trees) };
  }
}

/** The source of one channel. Channels share trees: two often stand for the same release, which may have a hundred thousand nodes. */
class ChannelSource extends IcfsSource {
  readonly #trees: SharedTrees;

  constructor(address: ReleaseAddress, reader: ReleaseReader, head: () => Promise<Head>, trees: SharedTrees) {
    super(address, reader, head);
    this.#trees = trees;
  }

  override tree(release: IcfsRelease, pieces?: Pieces): Promise<Tree> {
    return this.#trees.get(release.hash.toString("hex"), () => super.tree(release, pieces));
  }
}

/** Trees that are in use, by the hashes of their releases' headers. */
class SharedTrees {
  readonly #made = new Map<string, WeakRef<Tree>>();
  readonly #making = new Map<string, Promise<Tree>>();

  async get(key: string, make: () => Promise<Tree>): Promise<Tree> {
    const made = this.#made.get(key)?.deref();
    if (made !== undefined) return made;
    const begun = this.#making.get(key) ?? this.#make(key, make);
    this.#making.set(key, begun);
    return begun;
  }

  async #make(key: string, make: () => Promise<Tree>): Promise<Tree> {
    try {
      const tree = await make();
      for (const [other, kept] of this.#made) if (kept.deref() === undefined) this.#made.delete(other);
      this.#made.set(key, new WeakRef(tree));
      return tree;
    } finally {
      this.#making.delete(key);
    }
  }
}
