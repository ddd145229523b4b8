/**
 * /dev/fuse: each read returns a request, and answers are written to it. Several reads wait at once, each in a thread of
 * Node's pool, so that the next request arrives while one is answered.
 */

import { close, openSync, read, write, writevSync } from "node:fs";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";

/** One read waits while another's request is answered; more gained nothing. */
const READS = 2;
/** FUSE_MIN_READ_BUFFER is 8 KiB; with a larger buffer, the kernel forgets more inodes at a time. */
const BUFFER_BYTES = 64 * 1024;
/** Unmounted; or cut off by an administrator (umount -f, /sys/fs/fuse/connections/N/abort). */
const GONE = new Set(["ENODEV", "ECONNABORTED"]);
/** Go on: a signal came, or the request was interrupted. */
const TRANSIENT = new Set(["EINTR", "EAGAIN", "ENOENT"]);

export class Device {
  readonly descriptor: number;
  /** Resolves when the kernel sends no more requests: the mount is gone, and nobody has a file of it open. */
  readonly disconnected: Promise<void>;
  readonly #log: Log;
  #disconnect: () => void;
  /** Reads and notifications that are running in the thread pool. */
  #underWay = 0;
  /** Set once nothing may be sent any more: the descriptor's number may soon belong to another file. */
  #over = false;

  /** @throws Error when it cannot be opened */
  constructor(log: Log) {
    this.descriptor = openSync("/dev/fuse", "r+");
    this.#log = log;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.disconnected = promise;
    this.#disconnect = resolve;
  }

  /** Passes each request to `handle`, which is done with its bytes when it returns. Before the mount, reads fail with EPERM. */
  listen(handle: (request: Buffer) => void): void {
    for (let i = 0; i < READS; i++) this.#next(Buffer.alloc(BUFFER_BYTES), handle);
  }

  /** Closes it, before or after the mount. */
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
      // No other error is known. It ends the mount, as an uncaught error does (lib/process/lifetime.ts).
      if (error !== null && !TRANSIENT.has(error.code!)) throw error;
      if (error === null) handle(buffer.subarray(0, bytes));
      this.#next(buffer, handle);
    });
  }

  #closeWhenIdle(): void {
    if (this.#over && this.#underWay === 0) close(this.descriptor, () => this.#disconnect());
  }

  /** Answers. If nobody waits for the answer any more, that is no error: the request was interrupted, or the mount is gone. */
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
   * Sends the kernel a notification, on another thread: it may wait for a read of the same inode, which
   * this process must be able to answer meanwhile. After the mount's end it does nothing.
   * @throws Error EINVAL if the kernel does not know the notification; ENOENT if it has forgotten the inode
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
