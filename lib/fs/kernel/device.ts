/**
 * /dev/fuse: requests come out of it, one a read, and answers go into it. Several reads wait at once, each in a thread of
 * Node's pool, so that the next request is there while one is answered.
 */

import { close, openSync, read, write, writevSync } from "node:fs";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";

/** One waits while another's request is answered; more gained nothing. */
const READS = 2;
/** FUSE_MIN_READ_BUFFER is 8 KiB; with more, inodes are forgotten more at a time. */
const BUFFER_BYTES = 64 * 1024;
/** Unmounted; or cut off by an administrator (umount -f, /sys/fs/fuse/connections/N/abort). */
const GONE = new Set(["ENODEV", "ECONNABORTED"]);
/** Go on: a signal came, or the request was taken back. */
const TRANSIENT = new Set(["EINTR", "EAGAIN", "ENOENT"]);

export class Device {
  readonly descriptor: number;
  /** Resolves when the kernel has nothing more to ask: the mount is gone, and nobody has a file of it open. */
  readonly disconnected: Promise<void>;
  readonly #log: Log;
  #disconnect: () => void;
  /** Reads and notifications that threads of the pool are at. */
  #underWay = 0;
  /** From here on nothing is to be sent: the descriptor's number may soon be another file's. */
  #over = false;

  /** @throws Error when it cannot be opened */
  constructor(log: Log) {
    this.descriptor = openSync("/dev/fuse", "r+");
    this.#log = log;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.disconnected = promise;
    this.#disconnect = resolve;
  }

  /** Hands each request to `handle`, which is done with its bytes when it returns. Not before it is mounted: EPERM. */
  listen(handle: (request: Buffer) => void): void {
    for (let i = 0; i < READS; i++) this.#next(Buffer.alloc(BUFFER_BYTES), handle);
  }

  /** Gives it up, before or after the mount. */
  close(): void {
    this.#over = true;
    this.#closeWhenIdle();
  }

  #next(buffer: Buffer, handle: (request: Buffer) => void): void {
    this.#underWay += 1;
    read(this.descriptor, buffer, 0, buffer.length, null, (error, bytes) => {
      this.#underWay -= 1;
      if (error !== null && GONE.has(error.code!)) {
        this.close();
        return;
      }
      // Nothing else is known to come: it takes the mount away, as what nobody catches does (lib/process/lifetime.ts).
      if (error !== null && !TRANSIENT.has(error.code!)) throw error;
      if (error === null) handle(buffer.subarray(0, bytes));
      this.#next(buffer, handle);
    });
  }

  #closeWhenIdle(): void {
    if (this.#over && this.#underWay === 0) close(this.descriptor, () => this.#disconnect());
  }

  /** Answers. What nobody waits for any more is no error: the request was taken back, or the mount is gone. */
  send(parts: Uint8Array[]): void {
    if (this.#over) return;
    try {
      writevSync(this.descriptor, parts);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ENODEV") this.#log.error(`/dev/fuse: ${messageOf(error)}`);
    }
  }

  /**
   * Tells the kernel something that it has not asked for, out of the way: where that waits for a read of the same inode,
   * this process must be able to answer it. After the mount's end it does nothing.
   * @throws Error EINVAL where the kernel does not know what it is told; ENOENT of an inode that it has forgotten
   */
  notify(message: Buffer): Promise<void> {
    if (this.#over) return Promise.resolve();
    this.#underWay += 1;
    return new Promise((resolve, reject) => {
      write(this.descriptor, message, (error) => {
        this.#underWay -= 1;
        this.#closeWhenIdle();
        if (error) reject(error);
        else resolve();
      });
    });
  }
}
