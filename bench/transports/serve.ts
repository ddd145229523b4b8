/**
 * Mounts a tree that is made up: `serve.ts MOUNTPOINT kernel|fuse-native`. Prints `mounted` when it is, and ends with the mount.
 */

import { chooseTransport, type TransportName } from "../../lib/fs/choose-transport.ts";
import { defaultMountOptions } from "../../lib/fs/mounting/mount-options.ts";
import { createLog } from "../../lib/log.ts";
import { exitProcess } from "../../lib/process/exit.ts";
import { serveUntilUnmounted } from "../../lib/process/lifetime.ts";
import { directory, MemoryFileSystem, type Node } from "../../test/mount/memory-filesystem.ts";
import { BIG_BYTES, BIG_FILES, byteAt, FILE_BYTES, FILES, SMALL_FILES } from "./tree.ts";

const [mountpoint, transport] = process.argv.slice(2);
const big = Buffer.alloc(BIG_BYTES, byteAt(0));
const file = (content: Buffer): Node => ({ kind: "file", content });
const many = (count: number, node: (i: number) => Node) =>
  directory(Object.fromEntries(Array.from({ length: count }, (_, i) => [String(i), node(i)])));

const fileSystem = new MemoryFileSystem(
  directory({
    big: many(BIG_FILES, () => file(big)),
    files: many(FILES, (i) => file(Buffer.alloc(FILE_BYTES, byteAt(i)))),
    small: many(SMALL_FILES, () => file(Buffer.from("small\n"))),
  }),
);
const log = createLog("info");
await serveUntilUnmounted({
  mount: () =>
    chooseTransport(transport as TransportName)({
      fileSystem,
      mountpoint: mountpoint!,
      options: defaultMountOptions("bench"),
      log,
    }),
  ready: async () => void process.stdout.write("mounted\n"),
  log: { ...log, info: () => {} },
});
exitProcess(0);
