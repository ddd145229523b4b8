/**
 * Trees of any size that take no memory: their bytes are a cipher's key stream, generated on request. Only the manifest of a
 * release is kept, and for each chunk its hash and how to generate it.
 */
import { createCipheriv, createHash } from "node:crypto";
import { MAX_CHUNK_BYTES } from "../../lib/tree/limits.ts";
import type { Entry, FileEntry, Manifest } from "../../lib/tree/manifest.ts";

/** A file of a tree to be generated; it is not empty. */
export interface FileShape {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

export interface TreeShape {
  readonly directories: readonly string[];
  /** Files in path order. Those of a unit share chunks, one after another, and are renewed together. */
  readonly units: readonly (readonly FileShape[])[];
}

/** A later release renews every unit with this interval: some content is new, most is not, as after an upgrade. */
const RENEWED_EVERY = 16;
/** The size of a small file, like configurations and GRUB's modules. It is uneven so that files start anywhere in their pack. */
const SMALL_FILE_BYTES = 512;
const SMALL_FILE_SPREAD = 2039;
/** Files per pack; with the sizes above, about 300 KiB. */
const FILES_A_PACK = 200;
const ZEROS = Buffer.alloc(MAX_CHUNK_BYTES);

/** Files of `mebibytes` MiB each, which share no chunks. */
export function largeFiles(files: number, mebibytes: number): TreeShape {
  const names = Array.from({ length: files }, (_, i) => `image-${String(i).padStart(4, "0")}.img`);
  return { directories: [], units: names.map((path) => [{ path, size: mebibytes * 1024 * 1024 }]) };
}

/** Directories with `filesEach` small files each, in packs. */
export function smallFiles(directories: number, filesEach: number): TreeShape {
  const names = Array.from({ length: directories }, (_, i) => `directory-${String(i).padStart(5, "0")}`);
  const files = names.flatMap((directory, d) =>
    Array.from({ length: filesEach }, (_, f) => ({
      path: `${directory}/file-${String(f).padStart(5, "0")}`,
      size: SMALL_FILE_BYTES + (((d * filesEach + f) * 769) % SMALL_FILE_SPREAD),
    })),
  );
  const units: FileShape[][] = [];
  for (let at = 0; at < files.length; at += FILES_A_PACK) units.push(files.slice(at, at + FILES_A_PACK));
  return { directories: names, units };
}

/** How to generate a chunk. */
interface Recipe {
  readonly unit: number;
  readonly index: number;
  /** The release in which the unit was last renewed. */
  readonly generation: number;
  readonly size: number;
}

interface Unit {
  readonly chunks: readonly { readonly sha256: Buffer; readonly size: number }[];
  /** Their extents name chunks of the unit, from 0. */
  readonly files: readonly FileEntry[];
}

export class GeneratedTree {
  readonly #shape: TreeShape;
  readonly #key: Buffer;
  readonly #recipes = new Map<string, Recipe>();
  /** By unit and generation. */
  readonly #units = new Map<string, Unit>();

  /** @param seed of the content: the same seed makes the same bytes */
  constructor(shape: TreeShape, seed: string) {
    this.#shape = shape;
    this.#key = createHash("sha256").update(seed).digest();
  }

  /**
   * The tree of a release, from 1; hashes what is new in it. Makes its chunks available, in addition to those of earlier trees.
   */
  manifest(release: number): Manifest {
    const entries: Entry[] = this.#shape.directories.map((path) => ({
      kind: "directory",
      path,
      modified: 0n,
    }));
    const chunks: Unit["chunks"][number][] = [];
    for (const index of this.#shape.units.keys()) {
      const unit = this.#unit(index, this.#generation(index, release));
      for (const file of unit.files) {
        const extents = file.extents.map((extent) => ({ ...extent, chunk: chunks.length + extent.chunk }));
        entries.push({ ...file, extents });
      }
      chunks.push(...unit.chunks);
    }
    // Paths are ASCII, so JavaScript's order equals that of their bytes.
    entries.sort((a, b) => (a.path < b.path ? -1 : 1));
    return { chunks, entries };
  }

  /** A chunk's bytes; undefined when there is none with this hash. */
  chunk(sha256: Uint8Array): Buffer | undefined {
    const recipe = this.#recipes.get(Buffer.from(sha256).toString("hex"));
    return recipe && this.#make(recipe);
  }

  #generation(unit: number, release: number): number {
    let generation = release;
    while (generation > 1 && unit % RENEWED_EVERY !== (generation - 2) % RENEWED_EVERY) generation -= 1;
    return generation;
  }

  #unit(index: number, generation: number): Unit {
    const key = `${index}:${generation}`;
    let unit = this.#units.get(key);
    if (unit === undefined) {
      unit = this.#makeUnit(index, generation);
      this.#units.set(key, unit);
    }
    return unit;
  }

  #makeUnit(unit: number, generation: number): Unit {
    const shapes = this.#shape.units[unit]!;
    const total = shapes.reduce((sum, { size }) => sum + size, 0);
    const chunks: Unit["chunks"][number][] = [];
    const files: FileEntry[] = [];
    let hash = createHash("sha256");
    let extents: FileEntry["extents"][number][] = [];
    let left = shapes[0]!.size;
    for (let start = 0; start < total; start += MAX_CHUNK_BYTES) {
      const size = Math.min(MAX_CHUNK_BYTES, total - start);
      const recipe = { unit, index: chunks.length, generation, size };
      const bytes = this.#make(recipe);
      const sha256 = createHash("sha256").update(bytes).digest();
      this.#recipes.set(sha256.toString("hex"), recipe);
      for (let offset = 0; offset < size; ) {
        const length = Math.min(left, size - offset);
        hash.update(bytes.subarray(offset, offset + length));
        extents.push({ chunk: chunks.length, offset, length });
        offset += length;
        left -= length;
        if (left > 0) continue;
        const { path, size: fileSize } = shapes[files.length]!;
        files.push({
          kind: "file",
          path,
          modified: 0n,
          size: fileSize,
          sha256: hash.digest(),
          executable: false,
          extents,
        });
        hash = createHash("sha256");
        extents = [];
        left = shapes[files.length]?.size ?? 0;
      }
      chunks.push({ sha256, size });
    }
    return { chunks, files };
  }

  #make({ unit, index, generation, size }: Recipe): Buffer {
    // The last 8 bytes count the cipher's blocks, so that no two chunks' streams overlap.
    const start = Buffer.alloc(16);
    start.writeUInt32BE(unit, 0);
    start.writeUInt16BE(index, 4);
    start.writeUInt16BE(generation, 6);
    return createCipheriv("aes-256-ctr", this.#key, start).update(ZEROS.subarray(0, size));
  }
}
