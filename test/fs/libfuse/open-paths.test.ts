/**
 * Paths that are open while releases change, over a model of libfuse 2 with auto_cache: it keeps a path's pages from one
 * open to the next, unless the path's size or time has changed.
 */
import fc from "fast-check";
import t from "tap";
import { OpenPaths } from "../../../lib/fs/libfuse/open-paths.ts";
import {
  type Attributes,
  type FileSystem,
  FsError,
  type Inode,
  ROOT_INODE,
} from "../../../lib/fs/view/filesystem.ts";

const MILLISECOND = 1_000_000n;

interface Version {
  readonly content: number;
  readonly size: number;
  /** Nanoseconds. */
  readonly modified: bigint;
}

/** One file, `file`, which changes. Each content has one inode, for ever. `current` is undefined while there is no file. */
class OneFile implements Pick<FileSystem, "lookup" | "getattr" | "retain" | "forget"> {
  current: Version | undefined;
  readonly retained = new Set<Inode>();
  readonly #old = new Map<Inode, Version>();

  set(version: Version | undefined): void {
    if (this.current !== undefined) this.#old.set(inodeOf(this.current), this.current);
    this.current = version;
  }
  lookup(_: Inode, name: string): Inode {
    if (name !== "file" || this.current === undefined) throw new FsError("ENOENT", name);
    return inodeOf(this.current);
  }
  getattr(inode: Inode): Attributes {
    const live = this.current !== undefined && inodeOf(this.current) === inode;
    const version = live ? this.current : this.retained.has(inode) ? this.#old.get(inode) : undefined;
    if (version === undefined) throw new FsError("ENOENT", `inode ${inode}`);
    const { size, modified } = version;
    return { inode, kind: "file", size, executable: false, modified, changed: modified, links: 1 };
  }
  retain(inode: Inode): void {
    this.retained.add(inode);
  }
  forget(inode: Inode): void {
    this.retained.delete(inode);
  }
}

const inodeOf = ({ content }: Version): Inode => ROOT_INODE + 1 + content;

/** libfuse 2 and the kernel behind it, for one path. libfuse gets times in milliseconds. */
class Libfuse {
  readonly #paths: OpenPaths;
  #seen: { readonly size: number; readonly time: bigint } | undefined;
  #valid = false;
  /** The inodes of which the kernel has pages under this path. */
  readonly pages = new Set<Inode>();
  readonly open: Inode[] = [];

  constructor(paths: OpenPaths) {
    this.#paths = paths;
  }

  getattr(): void {
    const { size, modified } = this.#paths.getattr("/file");
    const time = modified / MILLISECOND;
    if (this.#valid && (this.#seen?.size !== size || this.#seen.time !== time)) this.#valid = false;
    this.#seen = { size, time };
  }

  /** The file is looked up, opened, read, and stays open. */
  openAndRead(): void {
    this.getattr();
    const inode = this.#paths.opening("/file");
    // libfuse asks for the attributes again before it decides whether to keep the pages.
    this.getattr();
    if (!this.#valid) this.pages.clear();
    this.#valid = true;
    this.pages.add(inode);
    this.open.push(inode);
  }

  close(): void {
    if (this.open.pop() !== undefined) this.#paths.closed("/file");
  }
}

function start(first: Version) {
  const fileSystem = new OneFile();
  fileSystem.set(first);
  // OpenPaths calls only the methods that OneFile has.
  const paths = new OpenPaths(fileSystem as unknown as FileSystem);
  return { fileSystem, paths, libfuse: new Libfuse(paths) };
}

const A: Version = { content: 0, size: 10, modified: 5_000_000_000n };
const B: Version = { ...A, content: 1 };

t.test("an open path keeps its inode until it is closed everywhere", async (t) => {
  const { fileSystem, paths } = start(A);
  const inode = paths.opening("/file");
  paths.opening("/file");
  fileSystem.set({ ...B, size: 99 });
  t.equal(paths.resolve("/file"), inode);
  t.equal(paths.getattr("/file").size, A.size);
  paths.closed("/file");
  t.equal(paths.opening("/file"), inode, "still open");
  paths.closed("/file");
  paths.closed("/file");
  t.equal(paths.resolve("/file"), inodeOf(B));
  t.equal(paths.getattr("/file").size, 99);
  t.same([...fileSystem.retained], [], "no inode is retained after the last close");
});

t.test("an open path outlives its release; a closed one does not", async (t) => {
  const { fileSystem, paths } = start(A);
  paths.opening("/file");
  fileSystem.set(undefined);
  t.equal(paths.getattr("/file").inode, inodeOf(A));
  paths.closed("/file");
  t.throws(() => paths.getattr("/file"), { message: /^ENOENT/ });
  t.throws(() => paths.opening("/file"), { message: /^ENOENT/ });
  paths.closed("/file"); // the path is not open: nothing happens
});

t.test("new content with the same size and time is shown with another time", async (t) => {
  const { fileSystem, paths } = start(A);
  paths.opening("/file");
  paths.closed("/file");
  const shown = () => paths.getattr("/file").modified;
  t.equal(shown(), A.modified);
  fileSystem.set(B);
  t.equal(shown(), A.modified + MILLISECOND);
  t.equal(shown(), A.modified + MILLISECOND, "and stays");
  fileSystem.set(A);
  t.equal(shown(), A.modified);
  fileSystem.set({ ...B, modified: A.modified + MILLISECOND });
  t.equal(shown(), A.modified + MILLISECOND, "content with a later time of its own is shown with that time");
});

t.test("whatever happens to a path, the kernel has pages of only one version", async (t) => {
  const version = fc.record({
    content: fc.integer({ min: 0, max: 4 }),
    size: fc.constantFrom(10, 11),
    // The same millisecond (twice), the next one, and the one after it.
    modified: fc.constantFrom(0n, 1n, MILLISECOND, 2n * MILLISECOND),
  });
  // The same content always has the same size.
  const fitting = version.map((v) => ({ ...v, size: v.content % 2 === 0 ? 10 : 11 }));
  const steps = fc.array(
    fc.oneof(
      fitting.map((v) => ({ do: "switch" as const, version: v })),
      fc.constant({ do: "open" as const }),
      fc.constant({ do: "close" as const }),
      fc.constant({ do: "getattr" as const }),
    ),
    { maxLength: 60 },
  );
  const ofOneVersion = fc.property(fitting, steps, (first, steps) => {
    const { fileSystem, libfuse } = start(first);
    for (const step of steps) {
      if (step.do === "switch") fileSystem.set(step.version);
      else if (step.do === "open") libfuse.openAndRead();
      else if (step.do === "close") libfuse.close();
      else libfuse.getattr();
      if (libfuse.pages.size > 1) throw new Error(`pages of ${[...libfuse.pages]}`);
      if (new Set(libfuse.open).size > 1) throw new Error(`open at once: ${libfuse.open}`);
    }
    while (libfuse.open.length > 0) libfuse.close();
    if (fileSystem.retained.size > 0) throw new Error("something is retained for ever");
  });
  t.doesNotThrow(() => fc.assert(ofOneVersion, { numRuns: 3000 }));
});
