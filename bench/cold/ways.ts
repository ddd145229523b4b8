/**
 * The ways to read a distant tree: icfs, its alternatives, and the way of the original (icboot's TFTP server). Each is started
 * afresh for each measurement, with empty caches, and removed afterwards.
 */
import { join } from "node:path";
import { run } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";
import { mountTree, type PublishedTree } from "../dnsmasq/icfs.ts";
import { type HttpMountCommand, mountOverHttp, RCLONE } from "./http-mount.ts";

const MIB = 1024 * 1024;
/** The block size of TFTP, and of the original's requests to its canister. */
const SECTOR = 512;
/** How many sectors are read in the original's way; the others would take the same time each. */
const SECTORS = 50;

export interface Far {
  readonly workspace: Workspace;
  readonly signal: AbortSignal;
  readonly published: PublishedTree;
  /** The web server's URL, with a trailing slash. */
  readonly web: string;
}

/** The result of reading; `sha256` of all bytes, if all were read. */
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

/** The time of the link itself. */
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

/** The original's way: one piece after another. Only some sectors are read, and the time is extrapolated. */
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
