/**
 * Answers the kernel's requests from a FileSystem, independent of where they come from: `handle` takes bytes, and
 * answers go to `send`. Each request is answered exactly once, except for those that have no answer.
 */

import { randomInt } from "node:crypto";
import { constants } from "node:os";
import type { Log } from "../../log.ts";
import { MAX_CHUNK_BYTES } from "../../tree/limits.ts";
import { createErrorTranslator, errnoNumber } from "../errno.ts";
import type { MountOptions } from "../mounting/fuse-options.ts";
import { OpenFiles } from "../open-files.ts";
import { type Errno, type FileSystem, FsError, type Inode } from "../view/filesystem.ts";
import { STATFS } from "../view/stat.ts";
import { attributeList } from "../view/xattrs.ts";
import { Directories } from "./directories.ts";
import { isBeingKilled } from "./killed.ts";
import { Lookups } from "./known-inodes.ts";
import {
  attributesReply,
  decodeBatchForget,
  decodeForget,
  decodeGetxattr,
  decodeInit,
  decodeInterrupt,
  decodeName,
  decodeOpenFlags,
  decodeRead,
  decodeRelease,
  decodeRequest,
  entryReply,
  FOPEN_KEEP_CACHE,
  InitFlag,
  initReply,
  LEAST_MINOR,
  Opcode,
  openReply,
  type Request,
  replyHeader,
  statfsReply,
  VERSION,
  xattrSizeReply,
} from "./protocol.ts";

export interface SessionOptions {
  readonly fileSystem: FileSystem;
  readonly options: MountOptions;
  readonly log: Log;
  /** Sends a message to the kernel, in parts. */
  readonly send: (parts: Uint8Array[]) => void;
}

/**
 * An hour. A switch changes an inode's times and executable bit at most. The kernel gets those of a file at the next lookup of its name,
 * and is notified of a directory's.
 */
const ATTRIBUTES_VALID_S = 3600;
/** After a signal that kills nobody, until its reader is checked again: another signal may have come. */
const LOOK_AGAIN_MS = 200;
/** More reads than this wait in the kernel. It is more than the machines that boot at once. */
const MAX_BACKGROUND = 64;
/** Pages of one request, 4 KiB each: a chunk. */
const MAX_PAGES = MAX_CHUNK_BYTES / 4096;
/** The kernel's minimum; nothing is ever written. Requests with their names fit the same buffer. */
const MAX_WRITE = 4096;
/**
 * Readers never see these. ENOSYS: not implemented; for some requests, the kernel then never asks again. EAGAIN: the
 * kernel should repeat the interrupt if anybody still waits. EINTR: the reader is being killed.
 */
const { ENOSYS, EAGAIN, EINTR } = constants.errno;
/** O_ACCMODE: the bits of the open flags that tell reading (0) from writing. */
const ACCESS_MODE = 0o3;

/**
 * Not DO_READDIRPLUS: the kernel would have to forget its lookups at once. Not ASYNC_DIO: a process that reads with
 * O_DIRECT could not be killed while it waits.
 */
const WANTED =
  InitFlag.ASYNC_READ |
  InitFlag.EXPORT_SUPPORT |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS;

/** Requests that change something. On a `ro` mount the kernel refuses them itself, until an administrator remounts it `rw`. */
const WRITES: ReadonlySet<number> = new Set([
  Opcode.SETATTR,
  Opcode.SYMLINK,
  Opcode.MKNOD,
  Opcode.MKDIR,
  Opcode.UNLINK,
  Opcode.RMDIR,
  Opcode.RENAME,
  Opcode.LINK,
  Opcode.WRITE,
  Opcode.SETXATTR,
  Opcode.REMOVEXATTR,
  Opcode.CREATE,
  Opcode.FALLOCATE,
  Opcode.RENAME2,
  Opcode.COPY_FILE_RANGE,
  Opcode.TMPFILE,
]);
const WITHOUT_ANSWER: ReadonlySet<number> = new Set([
  Opcode.FORGET,
  Opcode.BATCH_FORGET,
  Opcode.NOTIFY_REPLY,
  Opcode.INTERRUPT,
]);

export class Session {
  readonly #fileSystem: FileSystem;
  readonly #options: MountOptions;
  readonly #send: SessionOptions["send"];
  readonly #translate: (operation: string, error: unknown) => Errno;
  readonly #lookups: Lookups;
  readonly #listings = new Directories();
  /** Inode numbers start over with each mount: a file handle from an earlier mount must not open another file. */
  readonly #generation = randomInt(2 ** 32);
  readonly #files: OpenFiles;
  /** Requests that wait for the file system. */
  readonly #pending = new Map<bigint, Request>();
  readonly #greeting = Promise.withResolvers<void>();

  constructor({ fileSystem, options, log, send }: SessionOptions) {
    this.#fileSystem = fileSystem;
    this.#options = options;
    this.#send = send;
    this.#translate = createErrorTranslator(log);
    this.#lookups = new Lookups(fileSystem);
    this.#files = new OpenFiles(fileSystem);
  }

  get openFiles(): number {
    return this.#files.count;
  }

  /** How many inodes the kernel knows, and how many directories it has open. */
  get known(): { inodes: number; directories: number } {
    return { inodes: this.#lookups.size, directories: this.#listings.count };
  }

  /** Resolves when the kernel has told its features. Rejects with an Error when they are not enough. */
  get greeted(): Promise<void> {
    return this.#greeting.promise;
  }

  /** The directories that the kernel knows: their cached times are outdated after a switch. */
  get directories(): Inode[] {
    return this.#lookups.directories;
  }

  /** Fails waiting requests, and every read from now on. */
  failReads(): void {
    this.#files.fail();
    for (const request of [...this.#pending.values()]) this.#fail(request, "EIO");
  }

  /** Takes one request. The bytes may be overwritten afterwards. */
  handle(bytes: Buffer): void {
    const request = decodeRequest(bytes);
    if (request === undefined) return;
    try {
      this.#dispatch(request);
    } catch (error) {
      if (WITHOUT_ANSWER.has(request.opcode)) return;
      this.#fail(request, this.#translate(`request ${request.opcode}`, error));
    }
  }

  /** Handlers of requests; the others are not implemented. */
  readonly #handlers: Readonly<Record<number, (request: Request) => void>> = {
    [Opcode.INIT]: (request) => this.#init(request),
    [Opcode.LOOKUP]: (request) => this.#lookup(request),
    [Opcode.FORGET]: ({ nodeid, body }) => this.#lookups.forget(nodeid, decodeForget(body) ?? 0),
    [Opcode.BATCH_FORGET]: ({ body }) => {
      for (const [inode, count] of decodeBatchForget(body)) this.#lookups.forget(inode, count);
    },
    [Opcode.GETATTR]: (request) => {
      const attributes = this.#fileSystem.getattr(request.nodeid);
      this.#reply(request, attributesReply(attributes, this.#options, ATTRIBUTES_VALID_S));
    },
    [Opcode.READLINK]: (request) =>
      this.#reply(request, Buffer.from(this.#fileSystem.readlink(request.nodeid))),
    [Opcode.OPEN]: (request) => this.#open(request),
    [Opcode.READ]: (request) => this.#read(request),
    [Opcode.RELEASE]: (request) => {
      this.#files.released(wellFormed(decodeRelease(request.body)));
      this.#reply(request);
    },
    [Opcode.OPENDIR]: (request) => {
      const { nodeid } = request;
      const entries = this.#fileSystem.readdir(nodeid);
      const handle = this.#listings.open(nodeid, this.#fileSystem.parent(nodeid), entries);
      this.#reply(request, openReply(handle, 0));
    },
    [Opcode.READDIR]: (request) => {
      const listed = this.#listings.read(wellFormed(decodeRead(request.body)));
      if (listed === undefined) throw new FsError("EBADF", "not open");
      this.#reply(request, listed);
    },
    [Opcode.RELEASEDIR]: (request) => {
      this.#listings.release(wellFormed(decodeRelease(request.body)));
      this.#reply(request);
    },
    [Opcode.STATFS]: (request) => this.#reply(request, statfsReply(STATFS)),
    [Opcode.GETXATTR]: (request) => this.#xattr(request),
    [Opcode.LISTXATTR]: (request) => this.#xattr(request),
    [Opcode.INTERRUPT]: (request) => this.#interrupt(request),
    [Opcode.DESTROY]: (request) => this.#reply(request),
    [Opcode.NOTIFY_REPLY]: () => {},
  };

  #dispatch(request: Request): void {
    const handler = this.#handlers[request.opcode];
    if (handler !== undefined) handler(request);
    else if (WRITES.has(request.opcode)) this.#fail(request, "EROFS");
    else this.#send([replyHeader(request.unique, ENOSYS, 0)]);
  }

  #init(request: Request): void {
    const init = wellFormed(decodeInit(request.body));
    if (init.major < VERSION || (init.major === VERSION && init.minor < LEAST_MINOR)) {
      this.#greeting.reject(
        new Error(
          `this kernel speaks FUSE ${init.major}.${init.minor}, and ${VERSION}.${LEAST_MINOR} is the least`,
        ),
      );
      this.#fail(request, "EIO");
      return;
    }
    // If its major version is newer, the kernel repeats INIT with this one.
    this.#reply(
      request,
      initReply({
        flags: init.flags & WANTED,
        maxReadahead: init.maxReadahead,
        maxBackground: MAX_BACKGROUND,
        maxWrite: MAX_WRITE,
        maxPages: MAX_PAGES,
      }),
    );
    if (init.major === VERSION) this.#greeting.resolve();
  }

  #lookup(request: Request): void {
    const name = decodeName(request.body);
    // No tree has such a name.
    if (name === undefined) throw new FsError("ENOENT", "not UTF-8");
    const attributes = this.#fileSystem.getattr(this.#meaningOf(request.nodeid, name));
    this.#lookups.add(attributes);
    this.#reply(request, entryReply(attributes, this.#options, this.#generation, ATTRIBUTES_VALID_S));
  }

  /**
   * The kernel looks up the dots for a file handle whose inode it has forgotten, as used by an NFS server. There, ENOENT
   * becomes ESTALE.
   */
  #meaningOf(inode: Inode, name: string): Inode {
    if (name === ".") return inode;
    return name === ".." ? this.#fileSystem.parent(inode) : this.#fileSystem.lookup(inode, name);
  }

  #open(request: Request): void {
    if ((wellFormed(decodeOpenFlags(request.body)) & ACCESS_MODE) !== 0) {
      throw new FsError("EROFS", "open for writing");
    }
    const { size } = this.#fileSystem.getattr(request.nodeid);
    const handle = this.#fileSystem.open(request.nodeid);
    if (typeof handle === "number") {
      this.#opened(request, handle, size);
    } else {
      this.#wait(
        request,
        "open",
        handle,
        (opened) => this.#opened(request, opened, size),
        // Nobody is left to close it.
        (opened) => this.#fileSystem.release(opened),
      );
    }
  }

  #opened(request: Request, handle: number, size: number): void {
    this.#files.opened(handle, size);
    // An inode's pages never become outdated.
    this.#reply(request, openReply(handle, FOPEN_KEEP_CACHE));
  }

  #read(request: Request): void {
    const { handle, offset, size } = wellFormed(decodeRead(request.body));
    this.#wait(request, "read", this.#files.read(handle, offset, size), (pieces) =>
      this.#reply(request, ...pieces),
    );
  }

  /** Answers when `work` is done, unless the request has been answered meanwhile. */
  #wait<T>(
    request: Request,
    operation: string,
    work: Promise<T>,
    done: (result: T) => void,
    tooLate: (result: T) => void = () => {},
  ): void {
    this.#pending.set(request.unique, request);
    work.then(
      (result) => (this.#pending.delete(request.unique) ? done(result) : tooLate(result)),
      (error) => {
        if (this.#pending.has(request.unique)) this.#fail(request, this.#translate(operation, error));
      },
    );
  }

  #xattr(request: Request): void {
    const { size, rest } = wellFormed(decodeGetxattr(request.body));
    const value =
      request.opcode === Opcode.LISTXATTR
        ? attributeList(this.#fileSystem.listxattr(request.nodeid))
        : this.#fileSystem.getxattr(request.nodeid, decodeName(rest) ?? "");
    if (size > 0 && value.length > size) throw new FsError("ERANGE", "xattr");
    this.#reply(request, size === 0 ? xattrSizeReply(value.length) : value);
  }

  /**
   * A waiting reader has received a signal. If it kills the reader, the request ends, since the reader could not die
   * before the read's deadline otherwise. Other signals are ignored: read() does not fail with EINTR here. The kernel
   * sends an interrupt once, and again on request. That is requested after a while, since a reader may be killed later,
   * and since an interrupt may overtake its request.
   */
  #interrupt(request: Request): void {
    const unique = wellFormed(decodeInterrupt(request.body));
    const pending = this.#pending.get(unique);
    if (pending !== undefined && isBeingKilled(pending.pid)) {
      this.#pending.delete(unique);
      this.#send([replyHeader(unique, EINTR, 0)]);
    } else {
      // If the request has been answered meanwhile, the kernel just ignores this.
      setTimeout(() => this.#send([replyHeader(request.unique, EAGAIN, 0)]), LOOK_AGAIN_MS).unref();
    }
  }

  #reply(request: Request, ...parts: readonly Uint8Array[]): void {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.#send([replyHeader(request.unique, 0, bytes), ...parts]);
  }

  #fail({ unique }: Request, errno: Errno): void {
    this.#pending.delete(unique);
    this.#send([replyHeader(unique, errnoNumber(errno), 0)]);
  }
}

/** @throws FsError when a request is malformed */
function wellFormed<T>(decoded: T | undefined): T {
  if (decoded === undefined) throw new FsError("EINVAL", "malformed request");
  return decoded;
}
