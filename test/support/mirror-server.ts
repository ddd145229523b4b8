/** A web server with a mirror's files, whose answers a test can spoil. */
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Test } from "./icfs.ts";

/**
 * What happens to a request. `lie`: an answer with one wrong bit. `silence`: no answer, and the connection stays open. `drop`: the
 * connection ends. A function answers by itself.
 */
export type MirrorFault =
  | "none"
  | "lie"
  | "silence"
  | "drop"
  | { readonly status: number }
  | ((response: ServerResponse, right: Buffer) => void);

export interface MirrorServer {
  readonly url: string;
  fault: (path: string) => MirrorFault;
  /** The requested paths, with the requests' Cache-Control. */
  readonly asked: { readonly path: string; readonly cacheControl: string | undefined }[];
}

/** Serves a directory until the end of the test. */
export async function startMirrorServer(t: Test, directory: string): Promise<MirrorServer> {
  const silent = new Set<ServerResponse>();
  const mirror = {
    url: "",
    fault: (_path: string): MirrorFault => "none",
    asked: [] as MirrorServer["asked"],
  };
  const server = createServer((request, response) => {
    const path = request.url!;
    mirror.asked.push({ path, cacheControl: request.headers["cache-control"] });
    const fault = mirror.fault(path);
    if (fault === "silence") return void silent.add(response);
    if (fault === "drop") return void response.destroy();
    if (typeof fault === "object") return void response.writeHead(fault.status).end();
    readFile(join(directory, path)).then(
      (bytes) => {
        if (typeof fault === "function") return void fault(response, bytes);
        if (fault === "lie") bytes[bytes.length >> 1]! ^= 1;
        response.writeHead(200, { "content-length": bytes.length }).end(bytes);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(async () => {
    for (const response of silent) response.destroy();
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return Object.assign(mirror, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}
