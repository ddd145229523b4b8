/**
 * Connections without TLS that read more at once. Node reads at most 64 KiB, each time into new memory, and passes on each piece
 * separately. Data from a mirror in the same building arrives by the megabyte, and passing it on in so many pieces took more processor
 * time than hashing it.
 */
import type { ClientRequestArgs } from "node:http";
import { createConnection, type NetConnectOpts, type OnReadOpts, type Socket } from "node:net";
import { http } from "../../node-http.ts";

/** Larger reads gained nothing. */
const READ_BYTES = 256 * 1024;

/** The buffer that all connections share: the next read overwrites it, so data is used or copied at once. */
let landing: Buffer | undefined;

/** An agent whose connections read READ_BYTES at once. */
export class LargeReadsAgent extends http.Agent {
  override createConnection(options: ClientRequestArgs): Socket {
    landing ??= Buffer.allocUnsafeSlow(READ_BYTES);
    const onread: OnReadOpts = {
      buffer: landing,
      callback: (length, bytes) => {
        const read = bytes.subarray(0, length);
        return socket.push(passesOn(socket) ? read : Buffer.from(read));
      },
    };
    const socket: Socket = createConnection({ ...options, onread } as NetConnectOpts);
    return socket;
  }
}

/**
 * Whether push() passes what was read to Node's parser at once, which copies it. Otherwise the socket keeps it for later, while the next
 * read overwrites the buffer.
 */
function passesOn(socket: Socket): boolean {
  return socket.readableFlowing === true && socket.readableLength === 0 && socket.listenerCount("data") > 0;
}
