/**
 * Serves a directory over HTTP, with the same simulated distance as `icfs localnet`: `web-server.ts DIRECTORY LATENCY_MS
 * MIB_PER_SECOND`. Prints its URL. Supports what HTTP file systems need: lists of names, lengths, times, and ranges (RFC 9110,
 * section 14).
 */

import { readdir, readFile, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { pipeline } from "node:stream/promises";
import { Weather } from "../../localnet/weather.ts";

const [root, latency, bandwidth] = process.argv.slice(2) as [string, string, string];
const weather = new Weather({ latency: Number(latency), bandwidth: Number(bandwidth), updateLatency: 0 });

const server = createServer(async (request, response) => {
  try {
    await weather.oneWay();
    await answer(request, response);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") response.writeHead(404).end();
    else response.destroy();
  }
});
server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
process.on("SIGTERM", () => process.exit(0));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = join(root, normalize(decodeURIComponent(new URL(request.url!, "http://host").pathname)));
  const { mtime, size } = await stat(path);
  response.setHeader("Last-Modified", mtime.toUTCString());
  if (path.endsWith("/")) {
    response.setHeader("Content-Type", "text/html");
    return send(request, response, 200, await list(path));
  }
  response.setHeader("Accept-Ranges", "bytes");
  response.setHeader("Content-Type", "application/octet-stream");
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const content = await contentOf(path, mtime.getTime());
  if (range === null) return send(request, response, 200, content);
  const [from, to] = [Number(range[1]), range[2] === "" ? size - 1 : Math.min(Number(range[2]), size - 1)];
  response.setHeader("Content-Range", `bytes ${from}-${to}/${size}`);
  return send(request, response, 206, content.subarray(from, to + 1));
}

/** Unchanged files in memory: reading a whole file for each range would make the server itself slow. */
const contents = new Map<string, { readonly changed: number; readonly bytes: Promise<Buffer> }>();

function contentOf(path: string, changed: number): Promise<Buffer> {
  let content = contents.get(path);
  if (content?.changed !== changed) {
    content = { changed, bytes: readFile(path) };
    contents.set(path, content);
  }
  return content.bytes;
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: Uint8Array,
): Promise<void> {
  response.writeHead(status, { "Content-Length": body.length });
  await weather.oneWay();
  if (request.method === "HEAD") response.end();
  else await pipeline(weather.download(body), response);
}

/** A list in the usual format of web servers. */
async function list(directory: string): Promise<Buffer> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.map((entry) => entry.name + (entry.isDirectory() ? "/" : ""));
  const lines = names.map((name) => `<a href="${encodeURI(name)}">${name}</a>`);
  return Buffer.from(
    `<html><head><title>Index of /</title></head><body><pre>${lines.join("\n")}</pre></body></html>`,
  );
}
