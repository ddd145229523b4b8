/**
 * fuse-native's operations on paths, based on a FileSystem's operations on inodes. Each answers exactly once: an
 * operation without an answer hangs its reader, and a second answer goes to another operation.
 *
 * libfuse 2 gives the kernel one inode for a path, whatever its content. So a path that is open stays at the version
 * that was opened, until it is closed everywhere (open-paths.ts).
 */

import type { Reply } from "fuse-native";
import type { Log } from "../../log.ts";
import { createErrorTranslator, errnoNumber } from "../errno.ts";
import { type MountOptions, modeOf } from "../mounting/fuse-options.ts";
import { OpenFiles } from "../open-files.ts";
import { type Attributes, type Errno, type FileSystem, FsError } from "../view/filesystem.ts";
import { BLOCK_SIZE, blocksOf, STATFS } from "../view/stat.ts";
import { attributeList } from "../view/xattrs.ts";
import { OpenPaths } from "./open-paths.ts";

export interface Operations {
  /** The table that fuse-native takes. */
  readonly handlers: Record<string, (...parameters: never[]) => void>;
  /** Both fill `buffer` and reply with how many bytes there are; an empty buffer asks for the number alone. */
  getxattr(path: string, name: string, buffer: Buffer, reply: Reply): void;
  listxattr(path: string, buffer: Buffer, reply: Reply): void;
  /** How many files readers hold open. */
  openFiles(): number;
  /** Answers EIO to every read that is still waiting, and to every later one. */
  failReads(): void;
}

// The kernel refuses writes to a `ro` mount by itself. These answer once an administrator has remounted it `rw`.
const WRITES = [
  "chmod",
  "chown",
  "create",
  "link",
  "mkdir",
  "mknod",
  "removexattr",
  "rename",
  "rmdir",
  "setxattr",
  "symlink",
  "truncate",
  "unlink",
  "utimens",
  "write",
];
const ACCESS_MODE = 0o3; // O_ACCMODE: the bits of the open flags that tell reading (0) from writing

/** Makes the table for one mount of `fileSystem`. */
export function createOperations(context: {
  fileSystem: FileSystem;
  options: MountOptions;
  log: Log;
}): Operations {
  const { fileSystem, options, log } = context;
  const translate = createErrorTranslator(log);
  const openFiles = new OpenFiles(fileSystem);
  const pathsOf = new Map<number, string>();
  const paths = new OpenPaths(fileSystem);
  const pendingReads = new Set<(errno: Errno) => void>();

  // All operations except read and open are answered from memory, within the call.
  function answer(operation: string, reply: Reply, work: () => unknown[]): void {
    let values: unknown[];
    try {
      values = work();
    } catch (error) {
      reply(-errnoNumber(translate(operation, error)));
      return;
    }
    reply(0, ...values);
  }

  function read(
    _path: string,
    handle: number,
    buffer: Buffer,
    length: number,
    offset: number,
    reply: Reply,
  ): void {
    // The first of the two, the data or the end of the mount, answers; fuse-native detaches the buffer then.
    const settle = (result: number) => {
      if (pendingReads.delete(fail)) reply(result);
    };
    const fail = (errno: Errno) => settle(-errnoNumber(errno));
    pendingReads.add(fail);
    openFiles.read(handle, offset, length).then(
      (pieces) => {
        if (!pendingReads.has(fail)) return;
        let copied = 0;
        for (const { buffer: memory, byteOffset, byteLength } of pieces) {
          // Not Uint8Array.set: should the buffer be detached after all, it would throw, and copy() does nothing.
          copied += Buffer.from(memory, byteOffset, byteLength).copy(buffer, copied);
        }
        settle(copied);
      },
      (error) => fail(translate("read", error)),
    );
  }

  async function open(path: string, flags: number): Promise<number> {
    if ((flags & ACCESS_MODE) !== 0) throw new FsError("EROFS", path);
    const inode = paths.opening(path);
    try {
      const handle = await fileSystem.open(inode);
      openFiles.opened(handle, fileSystem.getattr(inode).size);
      pathsOf.set(handle, path);
      return handle;
    } catch (error) {
      paths.closed(path);
      throw error;
    }
  }

  const handlers = {
    read,
    getattr: (path: string, reply: Reply) =>
      answer("getattr", reply, () => [statOf(paths.getattr(path), options)]),
    readlink: (path: string, reply: Reply) =>
      answer("readlink", reply, () => [fileSystem.readlink(paths.resolve(path))]),
    readdir: (path: string, reply: Reply) =>
      answer("readdir", reply, () => list(fileSystem, paths, path, options)),
    statfs: (_path: string, reply: Reply) => reply(0, STATFS),
    open: (path: string, flags: number, reply: Reply) => {
      open(path, flags).then(
        (handle) => reply(0, handle),
        (error) => reply(-errnoNumber(translate("open", error))),
      );
    },
    release: (_path: string, handle: number, reply: Reply) =>
      answer("release", reply, () => {
        openFiles.released(handle);
        const path = pathsOf.get(handle);
        pathsOf.delete(handle);
        if (path !== undefined) paths.closed(path);
        return [];
      }),
    // Answered by the overridden methods in fuse-native.ts; listed so that fuse-native passes them on.
    getxattr: () => {},
    listxattr: () => {},
    ...Object.fromEntries(
      WRITES.map((name) => [
        name,
        (...parameters: unknown[]) => (parameters.at(-1) as Reply)(-errnoNumber("EROFS")),
      ]),
    ),
  };

  // The result is a length, and takes the place of the error.
  function fill(operation: string, buffer: Buffer, reply: Reply, work: () => Uint8Array): void {
    let length: number;
    try {
      const bytes = work();
      length = bytes.length;
      if (buffer.length > 0) {
        if (length > buffer.length) throw new FsError("ERANGE", operation);
        buffer.set(bytes);
      }
    } catch (error) {
      length = -errnoNumber(translate(operation, error));
    }
    reply(length);
  }

  return {
    handlers,
    getxattr: (path, name, buffer, reply) =>
      fill("getxattr", buffer, reply, () => fileSystem.getxattr(paths.resolve(path), name)),
    listxattr: (path, buffer, reply) =>
      fill("listxattr", buffer, reply, () => attributeList(fileSystem.listxattr(paths.resolve(path)))),
    openFiles: () => openFiles.count,
    failReads: () => {
      openFiles.fail();
      for (const fail of [...pendingReads]) fail("EIO");
    },
  };
}

/** A directory's names and, in a second array, what stat would say of the type and inode of each. */
function list(
  fileSystem: FileSystem,
  paths: OpenPaths,
  path: string,
  options: MountOptions,
): [string[], object[]] {
  const inode = paths.resolve(path);
  const parent = paths.resolve(path.slice(0, path.lastIndexOf("/")));
  const directory = modeOf({ kind: "directory", executable: false }, options);
  const names = [".", ".."];
  // The times are not used; without a number fuse-native would ask the clock for each.
  const none = { atime: 0, mtime: 0, ctime: 0 };
  const stats = [
    { mode: directory, ino: inode, ...none },
    { mode: directory, ino: parent, ...none },
  ];
  for (const entry of fileSystem.readdir(inode)) {
    names.push(entry.name);
    stats.push({ mode: modeOf({ kind: entry.kind, executable: false }, options), ino: entry.inode, ...none });
  }
  return [names, stats];
}

function statOf(attributes: Attributes, options: MountOptions) {
  const { inode, size, links } = attributes;
  const modified = Number(attributes.modified / 1_000_000n);
  // open-paths.ts may have made it look younger.
  const changed = Math.max(modified, Number(attributes.changed / 1_000_000n));
  return {
    mode: modeOf(attributes, options),
    uid: options.uid,
    gid: options.gid,
    size,
    nlink: links,
    ino: inode,
    blksize: BLOCK_SIZE,
    blocks: blocksOf(size),
    atime: modified,
    mtime: modified,
    ctime: changed,
  };
}
