/** Sends HTTP requests with any Host header. */
import { type IncomingHttpHeaders, request } from "node:http";

export interface Received {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The answer. */
  readonly body: Buffer;
  /** Whether the connection lasted to the end of the body. */
  readonly complete: boolean;
}

export interface Asking {
  /** Default: GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Called with the number of bytes of the body so far; reading continues once the returned promise resolves. */
  readonly received?: (bytes: number) => Promise<void> | undefined;
}

/** Sends a request. @param path as in the request line, encoded @throws Error when there is no answer at all */
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
      // If the body ends too early, `close` follows.
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
