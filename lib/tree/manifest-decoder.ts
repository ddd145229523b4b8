/**
 * Decodes a manifest of exactly one Candid type, with limits, in linear time: the bytes come from a canister that is not trusted, even if
 * their hash is certified. Checks everything that canister/manifest.mo checks.
 */
import { FormatError } from "../errors.ts";
import { atOnce } from "../steps.ts";
import { CandidReader } from "./candid-reader.ts";
import { MAX_CHUNK_BYTES, MAX_ENTRIES, MAX_EXTENTS, MAX_MANIFEST_BYTES } from "./limits.ts";
import {
  type ChunkReference,
  comparePaths,
  type Entry,
  type Extent,
  KIND_DIRECTORY,
  KIND_SYMLINK,
  MANIFEST_PREFIX,
  type Manifest,
} from "./manifest.ts";
import {
  type LinkBudget,
  type LinkStep,
  linkProblem,
  parentPath,
  pathProblem,
  readersBudget,
  reservedProblem,
} from "./rules.ts";

// The fewest bytes that an element can take, which bounds a vector's length by the size of its input.
const ENTRY_BYTES = 8 + 1 + 1;
const EXTENT_BYTES = 12;
const CHUNK_BYTES = 33 + 4;

/** Entries between two pauses: about a millisecond. */
const ENTRIES_PER_STEP = 500;
/** Extents and chunks, likewise. One file may have all extents of a manifest. */
const EXTENTS_PER_STEP = 4000;
const CHUNKS_PER_STEP = 1000;

/** Decodes and checks a manifest. @throws FormatError that says what is wrong, with the path if there is one */
export function decodeManifest(bytes: Uint8Array): Manifest {
  return atOnce(decodingManifest(bytes));
}

/** decodeManifest(), in steps: 100,000 entries, or 300,000 chunks, take a third of a second and more. */
export function* decodingManifest(bytes: Uint8Array): Generator<void, Manifest> {
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw new FormatError(`the manifest is larger than ${MAX_MANIFEST_BYTES / 2 ** 20} MiB`);
  const reader = new CandidReader(bytes, 0);
  reader.expect(MANIFEST_PREFIX, "an icfs manifest of version 1");
  const count = reader.vecLength(ENTRY_BYTES);
  if (count > MAX_ENTRIES) {
    throw new FormatError(`the manifest has ${count} entries, over the limit of ${MAX_ENTRIES}`);
  }
  const extents = new ExtentReader(reader);
  const entries: Entry[] = [];
  for (let i = 0; i < count; i++) {
    entries.push(yield* readEntry(reader, extents));
    if (i % ENTRIES_PER_STEP === 0) yield;
  }
  const chunks = yield* readChunks(reader);
  reader.end();
  yield;
  if (extents.named < chunks.length) throw new FormatError("the manifest lists a chunk that no file uses");
  for (const problem of checkingTree(entries, readersBudget())) {
    if (problem !== undefined) throw new FormatError(`${problem.path}: ${problem.problem}`);
    yield;
  }
  yield* checkingExtents(entries, chunks);
  return { chunks, entries };
}

function* readEntry(reader: CandidReader, extents: ExtentReader): Generator<void, Entry> {
  const modified = reader.nat64();
  switch (reader.variant(3)) {
    case KIND_DIRECTORY:
      return { kind: "directory", path: reader.text(), modified };
    case KIND_SYMLINK: {
      const target = reader.text();
      return { kind: "symlink", path: reader.text(), modified, target };
    }
    default: {
      const sha256 = reader.hash();
      const executable = reader.bool();
      const size = reader.exactNat64();
      const found = yield* extents.read();
      return { kind: "file", path: reader.text(), modified, size, sha256, executable, extents: found };
    }
  }
}

/** Reads extents, and turns their `back`, which counts backwards from the chunks named so far, into indexes of the table. */
class ExtentReader {
  readonly #reader: CandidReader;
  #total = 0;
  #step = 0;
  /** How many chunks of the table have been named. */
  named = 0;

  constructor(reader: CandidReader) {
    this.#reader = reader;
  }

  *read(): Generator<void, Extent[]> {
    const count = this.#reader.vecLength(EXTENT_BYTES);
    this.#total += count;
    if (this.#total > MAX_EXTENTS) throw new FormatError(`the manifest has more than ${MAX_EXTENTS} extents`);
    const extents: Extent[] = [];
    for (let i = 0; i < count; i++) {
      const back = this.#reader.nat32();
      const offset = this.#reader.nat32();
      const length = this.#reader.nat32();
      if (back > this.named) throw new FormatError("a file names a chunk before the first");
      extents.push({ chunk: back === 0 ? this.named++ : this.named - back, offset, length });
      this.#step += 1;
      if (this.#step % EXTENTS_PER_STEP === 0) yield;
    }
    return extents;
  }
}

function* readChunks(reader: CandidReader): Generator<void, ChunkReference[]> {
  const count = reader.vecLength(CHUNK_BYTES);
  const chunks: ChunkReference[] = [];
  for (let i = 0; i < count; i++) {
    const sha256 = reader.hash();
    const size = reader.nat32();
    if (size === 0 || size > MAX_CHUNK_BYTES) {
      throw new FormatError(`chunk ${i} of the table has a size outside 1 to ${MAX_CHUNK_BYTES}`);
    }
    chunks.push({ sha256, size });
    if (i % CHUNKS_PER_STEP === 0) yield;
  }
  return chunks;
}

/** The part of an entry that decides whether the tree is valid. */
export type Placed =
  | { readonly kind: "file" | "directory"; readonly path: string }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string };

export interface TreeProblem {
  readonly path: string;
  readonly problem: string;
  /** The symlink's target, if the problem is about a symlink. */
  readonly target?: string;
}

/**
 * What is wrong with the paths, their order, their parents and the symlinks. Ends after the first link that exceeds the budget.
 */
export function* treeProblems(entries: readonly Placed[], budget: LinkBudget): Generator<TreeProblem> {
  for (const problem of checkingTree(entries, budget)) if (problem !== undefined) yield problem;
}

/** treeProblems(), in steps: it yields undefined for each pause. */
function* checkingTree(entries: readonly Placed[], budget: LinkBudget): Generator<TreeProblem | undefined> {
  const steps = new Map<string, LinkStep>();
  let previous: string | undefined;
  for (const [i, entry] of entries.entries()) {
    if (i % ENTRIES_PER_STEP === 0) yield undefined;
    const { path } = entry;
    const problem = pathProblem(path) ?? reservedProblem(path);
    if (problem !== undefined) yield { path, problem };
    if (previous !== undefined && comparePaths(previous, path) >= 0) {
      yield { path, problem: "the path is out of order or there twice" };
    }
    previous = path;
    const parent = parentPath(path);
    if (parent !== "") {
      const found = steps.get(parent);
      if (found === undefined) yield { path, problem: `its directory ${parent} is not listed` };
      else if (found !== "directory") yield { path, problem: `${parent} is not a directory` };
    }
    steps.set(path, entry.kind === "symlink" ? { target: entry.target } : entry.kind);
  }
  for (const [i, entry] of entries.entries()) {
    if (i % ENTRIES_PER_STEP === 0) yield undefined;
    if (entry.kind !== "symlink") continue;
    const { path, target } = entry;
    const problem = linkProblem(path, target, (path) => steps.get(path), budget);
    if (problem !== undefined) yield { path, problem, target };
    if (budget.left < 0) return;
  }
}

/** Checks that each file's extents lie in their chunks, and add up to its size. In steps. @throws FormatError */
function* checkingExtents(entries: readonly Entry[], chunks: readonly ChunkReference[]): Generator<void> {
  let step = 0;
  for (const [i, entry] of entries.entries()) {
    if (i % ENTRIES_PER_STEP === 0) yield;
    if (entry.kind !== "file") continue;
    let covered = 0;
    for (const { chunk, offset, length } of entry.extents) {
      step += 1;
      if (step % EXTENTS_PER_STEP === 0) yield;
      const reference = chunks[chunk];
      if (reference === undefined) {
        throw new FormatError(`${entry.path}: the file names a chunk that is not in the table`);
      }
      if (length === 0) throw new FormatError(`${entry.path}: the file has an extent of no bytes`);
      if (offset + length > reference.size) {
        throw new FormatError(`${entry.path}: the file runs past the end of a chunk`);
      }
      covered += length;
    }
    if (covered !== entry.size) {
      throw new FormatError(`${entry.path}: the file's size is not the sum of its extents`);
    }
  }
}
