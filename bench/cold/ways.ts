/**
 * The ways to read a far tree, side by side: icfs, what others would take in its place, and the original's. Each is started anew for each
 * measurement, with nothing in any cache, and taken away again.
 */
import { join } from "node:path";
import { run } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";
import { mountTree, type PublishedTree } from "../dnsmasq/icfs.ts";
import { type HttpMountCommand, mountOverHttp, RCLONE } from "./http-mount.ts";

const MIB = 1024 * 1024;
/** Of TFTP, and what the original's server asked its canister for. */
const SECTOR = 512;
/** Of the original's way, that many sectors are read; the rest would take as long for each. */
const SECTORS = 50;

export interface Far {
  readonly workspace: Workspace;
  readonly signal: AbortSignal;
  readonly published: PublishedTree;
  /** Of the web server, with a slash at its end. */
  readonly web: string;
}

/** What reading has taken; `sha256` of all the bytes, unless not all were read. */
export interface Taken {
  readonly seconds: number;
  readonly sha256?: string;
}

export type Way = (far: Far, files: readonly string[]) => Promise<Taken>;

const READER = new URL("read.ts", import.meta.url).pathname;

async function readBelow(
  directory: string,
  files: readonly string[],
  { workspace, signal }: Far,
): Promise<Taken> {
  const paths = files.map((file) => join(directory, file));
  return JSON.parse(
    await run(process.execPath, [READER, ...paths], { env: workspace.env, seconds: 300, signal }),
  );
}

/** @param more options of `icfs mount` */
export function icfs(...more: string[]): Way {
  return async (far, files) => {
    await using stack = new AsyncDisposableStack();
    const mount = await mountTree(far.published, more, far.workspace, stack, far);
    return await readBelow(mount.mountpoint, files, far);
  };
}

/** A FUSE file system over HTTP. */
export function overHttp(command: HttpMountCommand): Way {
  return async (far, files) => {
    await using stack = new AsyncDisposableStack();
    const { mountpoint } = await mountOverHttp(command, far.web, far.workspace, stack, far.signal);
    return await readBelow(mountpoint, files, far);
  };
}

/** What the link itself takes. */
export const curl: Way = async ({ web, workspace, signal }, files) => {
  const started = performance.now();
  for (const file of files) {
    await run("curl", ["--silent", "--fail", "--output", "/dev/null", web + file], {
      env: workspace.env,
      signal,
    });
  }
  return { seconds: (performance.now() - started) / 1000 };
};

/** The original's way: a piece, and then the next. Of sectors only some are read, and the time is what all would take. */
export function onePieceAtATime(bytes: typeof SECTOR | typeof MIB): Way {
  return async ({ web, signal }, files) => {
    let [asked, seconds] = [0, 0];
    let pieces = 0;
    for (const file of files) {
      const size = Number(
        (await fetch(web + file, { method: "HEAD", signal })).headers.get("content-length"),
      );
      pieces += Math.ceil(size / bytes);
      const started = performance.now();
      for (let at = 0; at < size && (bytes !== SECTOR || asked < SECTORS); at += bytes) {
        const range = `bytes=${at}-${at + bytes - 1}`;
        await (await fetch(web + file, { headers: { range }, signal })).arrayBuffer();
        asked += 1;
      }
      seconds += (performance.now() - started) / 1000;
    }
    return { seconds: (seconds / asked) * pieces };
  };
}

export const WAYS: Readonly<Record<string, Way>> = {
  icfs: icfs("--prefetch", "none"),
  "icfs prefetching": icfs("--prefetch", "all"),
  curl,
  rclone: overHttp(RCLONE),
  httpdirfs: overHttp((web, mountpoint) => ["httpdirfs", "-f", web, mountpoint]),
  "1 MiB after 1 MiB": onePieceAtATime(MIB),
  "sector after sector": onePieceAtATime(SECTOR),
};
