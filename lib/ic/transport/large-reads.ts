/**
 * Connections without TLS that take in more at once. Node reads 64 KiB at most, each into memory of its own, and hands on each by itself. What
 * comes from a mirror in the same building is there by the megabyte, and passing it on in so many pieces took more of the processor's time
 * than hashing it.
 */
import { Agent, type ClientRequestArgs } from "node:http";
import { createConnection, type NetConnectOpts, type OnReadOpts, type Socket } from "node:net";

/** More in one piece gained nothing. */
const READ_BYTES = 256 * 1024;

/** Where every connection reads to: what was read is copied before anybody else reads. */
let landing: Buffer | undefined;

/** An agent whose connections read so much at once. */
export class LargeReadsAgent extends Agent {
  override createConnection(options: ClientRequestArgs): Socket {
    landing ??= Buffer.allocUnsafeSlow(READ_BYTES);
    const onread: OnReadOpts = {
      buffer: landing,
      callback: (length, bytes) => socket.push(Buffer.from(bytes.subarray(0, length))),
    };
    const socket: Socket = createConnection({ ...options, onread } as NetConnectOpts);
    return socket;
  }
}
