/** Disk stores for tests, and another process that writes to one. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DiskStore } from "../../lib/cache/disk-store.ts";
import { createLog } from "../../lib/log.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const KiB = 1024;
const WRITER = fileURLToPath(new URL("disk-writer.ts", import.meta.url));

interface Test {
  teardown(work: () => Promise<void> | void): void;
}

/** Random bytes, and their key: the hash in hexadecimal. */
export function chunk(size = 10 * KiB): { key: string; bytes: Buffer } {
  const bytes = randomBytes(size);
  return { key: createHash("sha256").update(bytes).digest("hex"), bytes };
}

/** A store, its log, and a function for the path of a chunk. @param capacity bytes */
export async function open(t: Test, capacity = 1024 * KiB, directory?: string) {
  const logged: string[] = [];
  const path = directory ?? (await temporaryDirectory(t));
  const store = new DiskStore(
    path,
    capacity,
    createLog("info", (line) => logged.push(line)),
  );
  t.teardown(() => store.close());
  return {
    store,
    logged,
    directory: path,
    pathOf: (key: string) => join(path, "chunks", key.slice(0, 2), key),
  };
}

/** A process that writes chunks until it is killed, and pins `pinned`. */
export function startWriter(t: Test, directory: string, pinned = ""): ChildProcess {
  const child = spawn(process.execPath, [WRITER, directory, pinned], { stdio: "inherit" });
  t.teardown(() => {
    child.kill("SIGKILL");
  });
  return child;
}
