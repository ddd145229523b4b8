/**
 * Mounts and unmounts again and again in one process, at all mountpoints at once, with a reader now and then: `many-fixture.ts
 * TIMES MOUNTPOINT...`, with node --expose-gc. Prints the process's usage as JSON, after a tenth of the mounts and at the end.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { mountKernel } from "../../lib/fs/kernel/mount.ts";
import { defaultMountOptions } from "../../lib/fs/mounting/fuse-options.ts";
import { prepareMountpoint } from "../../lib/fs/mounting/mountpoint.ts";
import { createLog } from "../../lib/log.ts";
import { directory, file, MemoryFileSystem } from "./memory-filesystem.ts";

const [times, ...mountpoints] = process.argv.slice(2) as [string, ...string[]];
const fileSystem = new MemoryFileSystem(directory({ "hello.txt": file("hello\n") }));
const log = createLog("warn");
const options = defaultMountOptions("many");
/** A program reads the mount only this often: starting a program takes longer than a mount. */
const READ_EVERY = 20;

async function usage(mounts: number): Promise<string> {
  // Buffers are freed a moment after they have been collected.
  globalThis.gc!();
  await sleep(1000);
  globalThis.gc!();
  const status = readFileSync("/proc/self/status", "utf8");
  const number = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(status)?.[1]);
  const { heapUsed, external } = process.memoryUsage();
  return JSON.stringify({
    mounts,
    descriptors: readdirSync("/proc/self/fd").length,
    threads: number("Threads"),
    memoryMiB: Math.round((heapUsed + external) / 1024 / 1024),
    rssMiB: Math.round(number("VmRSS") / 1024),
  });
}

let mounts = 0;

/** Goes on until there were so many mounts, at all mountpoints together. */
async function mountUntil(most: number, mountpoint: string): Promise<void> {
  while (mounts < most) {
    const isRead = ++mounts % READ_EVERY === 0;
    const mounted = await mountKernel({
      fileSystem,
      mountpoint: await prepareMountpoint(mountpoint, log),
      options,
      log,
    });
    if (isRead) {
      const { stdout } = await promisify(execFile)("cat", [`${mountpoint}/hello.txt`]);
      if (stdout !== "hello\n") throw new Error(stdout);
    }
    await mounted.unmount();
    await mounted.ended;
  }
}

for (const most of [Number(times) / 10, Number(times)]) {
  await Promise.all(mountpoints.map((mountpoint) => mountUntil(most, mountpoint)));
  console.log(await usage(mounts));
}
