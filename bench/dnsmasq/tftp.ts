/** A TFTP client (RFC 1350, with the options of RFC 2347 to 2349) like a boot loader's: one file, one block at a time. */
import { createSocket } from "node:dgram";

/** The block that fits an Ethernet frame, as boot loaders request. */
const BLOCK_BYTES = 1468;
/** After this long without a packet, the last packet is sent again. */
const RESEND_MS = 1000;
const TFTP_PORT = 69;
const OP_READ = 1;
const OP_DATA = 3;
const OP_ACKNOWLEDGE = 4;
const OP_ERROR = 5;
const OP_OPTIONS = 6;

/**
 * Reads a file to its end, discards its bytes and resolves to their number.
 *
 * @param silence milliseconds without progress after which it fails
 * @param signal aborts it, with the signal's reason
 * @throws Error with the server's message, or when it falls silent
 */
export function readFile(
  server: string,
  path: string,
  silence: number,
  signal: AbortSignal,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = createSocket("udp4");
  let last = readRequest(path);
  let port = TFTP_PORT;
  let received = 0;
  let bytes = 0;
  let progress = performance.now();
  const send = (sent?: () => void) => socket.send(last, port, server, sent);
  const timer = setInterval(() => {
    if (performance.now() - progress > silence) finish(new Error(`nothing came for ${silence / 1000} s`));
    else send();
  }, RESEND_MS);
  const abort = () => finish(signal.reason);
  const finish = (result: number | Error) => {
    clearInterval(timer);
    signal.removeEventListener("abort", abort);
    socket
      .removeAllListeners()
      .on("error", () => {})
      .close();
    if (result instanceof Error) reject(result);
    else resolve(result);
  };
  const acknowledge = (block: number, sent?: () => void) => {
    last = Buffer.from([0, OP_ACKNOWLEDGE, block >> 8, block & 0xff]);
    send(sent);
    timer.refresh();
    progress = performance.now();
  };
  socket.on("error", finish);
  socket.on("message", (packet, from) => {
    const operation = packet.readUInt16BE(0);
    if (operation === OP_ERROR) return finish(new Error(packet.toString("utf8", 4).replace("\0", "")));
    if (operation === OP_OPTIONS && received === 0) {
      port = from.port;
      acknowledge(0);
    } else if (operation === OP_DATA && packet.readUInt16BE(2) === ((received + 1) & 0xffff)) {
      received += 1;
      bytes += packet.length - 4;
      const isLast = packet.length < 4 + BLOCK_BYTES;
      // The socket is closed only once the last acknowledgement has been sent: without it dnsmasq keeps the transfer, and it allows 50 at most.
      acknowledge(received & 0xffff, isLast ? () => finish(bytes) : undefined);
    }
  });
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  else send();
  return promise;
}

function readRequest(path: string): Buffer {
  const fields = [path, "octet", "blksize", String(BLOCK_BYTES), "tsize", "0"];
  return Buffer.concat([Buffer.from([0, OP_READ]), ...fields.map((field) => Buffer.from(`${field}\0`))]);
}
