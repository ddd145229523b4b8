/**
 * A site: a canister on a local network, a cache of the site in front of the network's HTTP gateway, and hosts behind it. Between the cache
 * and the gateway, and between the hosts and the network's API, meters record the requests.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { freePort } from "../../demo/free-port.ts";
import { type Process, run } from "../../demo/process.ts";
import { type Mountable, startMountable } from "../support/mountable.ts";
import { stackOf } from "../support/stack.ts";
import type { Engine } from "./engines.ts";
import type { HostResult, Storm } from "./hosts.ts";
import { Line, type Meter, startMeter } from "./meter.ts";

const PATIENT = 300_000;
/** In bytes, for each host. */
const MEMORY = 64 * 1024 * 1024;

export interface SiteOptions {
  readonly engine: Engine;
  /** Sizes of the release's files, in bytes. */
  readonly files: readonly number[];
}

export interface StormOptions {
  /** The mirrors of a host, by its number. Default: the cache. */
  readonly mirrors?: (host: number) => readonly string[];
  /** Milliseconds. The default is so long that a busy machine does not miss it. */
  readonly readTimeout?: number;
  /** Milliseconds by which the hosts' clocks are ahead of this machine's. */
  readonly ahead?: number;
}

export interface Site extends Mountable {
  /** The URL of the hosts' mirror. */
  readonly url: string;
  /** The site's line to the network, which all share. */
  readonly line: Line;
  /** The requests of the cache. */
  readonly origin: Meter;
  /** The server behind the cache: the gateway, unless a test puts something else there. */
  behind: string;
  /** The hosts' own requests to the network. */
  readonly asks: Meter;
  /** Starts the cache with an empty disk. */
  startCache(): Promise<void>;
  /** Kills the cache, with its connections. */
  killCache(): Promise<void>;
  /** Starts so many hosts at once, with nothing on their disks. Resolves when each has the release, or has given up. */
  storm(hosts: number, options?: StormOptions): Promise<HostResult[]>;
}

export async function startCachedSite(t: Test, { engine, files }: SiteOptions): Promise<Site> {
  const c = await startMountable(t);
  await c.publish(Object.fromEntries(files.map((size, i) => [`file-${i}`, randomBytes(size)])));
  const stack = stackOf(t);
  const line = new Line();
  const origin = await startMeter(t, () => site.behind, line);
  const asks = await startMeter(t, () => c.url, line);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let cache: Process | undefined;
  let caches = 0;
  let storms = 0;
  stack.defer(async () => cache?.stop());
  // Forty real hosts have forty disks. Here they would wait for one disk.
  const disks = join(c.directory, "disks");
  await mkdir(disks);
  await run("mount", ["-t", "tmpfs", "-o", "mode=700", "tmpfs", disks]);
  stack.defer(async () => void (await run("umount", ["-l", disks])));
  const child = fork(join(import.meta.dirname, "hosts.ts"), {
    env: { ...process.env, ...c.env, UV_THREADPOOL_SIZE: "64" },
  });
  stack.defer(() => ended(child));
  const site: Site = {
    ...c,
    behind: c.url,
    url,
    line,
    origin,
    asks,
    async startCache() {
      caches += 1;
      const directory = join(disks, `cache-${caches}`);
      cache = await engine({ directory, port, origin: origin.url, canister: c.id });
    },
    async killCache() {
      process.kill(-cache!.pid!, "SIGKILL");
      await cache!.exit;
    },
    async storm(hosts, { mirrors = () => [url], readTimeout = PATIENT, ahead = 0 } = {}) {
      storms += 1;
      const directory = join(disks, `storm-${storms}`);
      await mkdir(directory, { mode: 0o700 });
      child.send({
        hosts: Array.from({ length: hosts }, (_, i) => ({
          directory: join(directory, `host-${i}`),
          mirrors: mirrors(i),
        })),
        network: asks.url,
        rootKey: Buffer.from(c.rootKey).toString("hex"),
        canister: c.id,
        readTimeout,
        ahead,
        memory: MEMORY,
      } satisfies Storm);
      const [results] = await Promise.race([
        once(child, "message"),
        once(child, "exit").then(([code]) => {
          throw new Error(`the hosts have ended: ${code}`);
        }),
      ]);
      await rm(directory, { recursive: true });
      return results as HostResult[];
    },
  };
  return site;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = once(child, "exit");
  child.kill("SIGKILL");
  await over;
}
