/**
 * Mounts the tree of the mount tests in a process of its own: `serve-fixture.ts MOUNTPOINT [SOURCE [never]]`. With
 * `never` it is mounted, but does not say so. Prints
 * `{"mountpoint": ...}` on stdout once it is mounted (or reports it, when started in the background); exits with 0 when
 * the mount has come to its end, with 1 and the reason on stderr when it could not be made.
 */

import { once } from "node:events";
import { chooseTransport } from "../../lib/fs/choose-transport.ts";
import { defaultMountOptions } from "../../lib/fs/mounting/fuse-options.ts";
import { prepareMountpoint } from "../../lib/fs/mounting/mountpoint.ts";
import { FsError } from "../../lib/fs/view/filesystem.ts";
import { createLog } from "../../lib/log.ts";
import { notifyFailed, notifyReady } from "../../lib/process/daemon.ts";
import { exitProcess } from "../../lib/process/exit.ts";
import { serveUntilUnmounted } from "../../lib/process/lifetime.ts";
import { TRANSPORT } from "../support/transport.ts";
import { directory, file, MemoryFileSystem, type Node, pattern, symlink } from "./memory-filesystem.ts";

// SIGUSR2 lets the slow reads go on.
const released = once(process, "SIGUSR2");

const content = pattern(300_000);
const slice = async (offset: number, length: number) => content.subarray(offset, offset + length);

// Reads of `recovering` fail until SIGUSR1.
let isBroken = true;
process.on("SIGUSR1", () => {
  isBroken = false;
});

const special: Record<string, (offset: number, length: number) => Promise<Uint8Array>> = {
  unreachable: async () => {
    throw new FsError("EIO", "no network");
  },
  recovering: async (offset, length) => {
    if (isBroken) throw new FsError("EIO", "not yet");
    return slice(offset, length);
  },
  buggy: async () => {
    throw new TypeError("a bug in the file system");
  },
  short: async (offset, length) => slice(offset, length - 1),
  slow: async (offset, length) => {
    await released;
    return slice(offset, length);
  },
  never: () => new Promise(() => {}),
  crashing: async () => {
    setImmediate(() => {
      throw new Error("nobody catches this");
    });
    return content;
  },
};

const tree = directory({
  "hello.txt": file("hello\n"),
  empty: file(""),
  big: file(pattern(5_000_003)),
  tool: file("#!/bin/sh\n", { executable: true }),
  link: symlink("deep/er/file"),
  deep: directory({ er: directory({ file: file("deep\n") }) }),
  "größe-日本語-🥾": file("umlauts\n"),
  ["n".repeat(255)]: file("long\n"),
  many: directory(
    Object.fromEntries(
      Array.from({ length: 10_000 }, (_, i) => [`entry-${i}`, file(String(i))] as [string, Node]),
    ),
  ),
  waiting: directory(
    Object.fromEntries(
      Array.from(
        { length: 20 },
        (_, i) => [`${i}`, { kind: "file", content, read: special.slow! }] as [string, Node],
      ),
    ),
  ),
  // The same content once more, for a test that must find none of it in the page cache.
  shared: file(pattern(5_000_003)),
  special: directory(
    Object.fromEntries(
      Object.entries(special).map(
        ([name, read]) => [name, { kind: "file", content, read }] as [string, Node],
      ),
    ),
  ),
});

const [mountpoint, source = "test", readiness] = process.argv.slice(2);
const log = createLog("info");
try {
  await serveUntilUnmounted({
    mount: async () =>
      (await chooseTransport(TRANSPORT))({
        fileSystem: new MemoryFileSystem(tree),
        mountpoint: await prepareMountpoint(mountpoint!, log),
        options: defaultMountOptions(source),
        log,
      }),
    ready: async ({ mount }) => {
      if (readiness === "never") await new Promise(() => {});
      await notifyReady({ mountpoint: mount.mountpoint });
      process.stdout.write(`${JSON.stringify({ mountpoint: mount.mountpoint })}\n`);
    },
    log,
  });
  exitProcess(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  await notifyFailed(error);
  process.exit(1);
}
