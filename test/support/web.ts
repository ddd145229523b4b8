/** HTTP requests as a client makes them who puts in any Host. */
import { type IncomingHttpHeaders, request } from "node:http";

export interface Received {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** What has come of it. */
  readonly body: Buffer;
  /** Whether the connection held to the body's end. */
  readonly complete: boolean;
}

export interface Asking {
  /** Default: GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Told how many bytes of the body have come so far; no more are read until what it returns has resolved. */
  readonly received?: (bytes: number) => Promise<void> | undefined;
}

/** @param path as it stands in the request line, encoded. @throws Error when there is no answer at all */
export function ask(server: string, host: string, path: string, asking: Asking = {}): Promise<Received> {
  const { hostname, port } = new URL(server);
  const { method = "GET", headers = {}, body, received } = asking;
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, method, headers: { host, ...headers } }, (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on("data", (part: Buffer) => {
        parts.push(part);
        bytes += part.length;
        const wait = received?.(bytes);
        if (wait === undefined) return;
        response.pause();
        wait.then(() => response.resume(), reject);
      });
      // It ends too early: `close` follows.
      response.on("error", () => {});
      response.once("close", () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(parts),
          complete: response.complete,
        }),
      );
    });
    sent.once("error", reject);
    sent.end(body);
  });
}
