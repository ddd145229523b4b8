/** `icfs serve` as a process, for tests; it ends with the test. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { BIN, type Test } from "../support/icfs.ts";
import type { Mountable } from "../support/mountable.ts";
import { spawned } from "../support/spawned.ts";

export interface Served {
  /** The URL at which it answers. */
  readonly url: string;
  readonly process: ChildProcess;
  /** What `icfs serve --json` has printed. */
  readonly said: Record<string, unknown>;
  /** Resolves to its exit code, or to the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Its log so far. */
  log(): string;
}

/** Starts one over the canister's proxy. Resolves once it serves. @throws Error with its log when it ends instead */
export async function startServe(t: Test, c: Mountable, ...more: readonly string[]): Promise<Served> {
  const { child, ended, log } = spawnServe(t, c, ...more);
  const lines = createInterface({ input: child.stdout! });
  const first = await Promise.race([once(lines, "line"), ended]);
  if (!Array.isArray(first)) throw new Error(`icfs serve has ended with ${first}: ${log()}`);
  const said = JSON.parse(String(first[0]));
  return { url: said.url, process: child, said, ended, log };
}

/** Like startServe(), but it need not come to serve anything. */
export function spawnServe(t: Test, c: Mountable, ...more: readonly string[]) {
  const args = ["serve", c.id, "--listen", "0", "--json", "--network", c.proxy.url, ...more];
  const { child, ended, stderr } = spawned(t, BIN, args, c.env);
  return { child, ended, log: stderr };
}

/** All chunks on the disk. */
export async function chunkFiles({ env }: Mountable): Promise<string[]> {
  const directory = join(env.XDG_CACHE_HOME!, "icfs", "chunks");
  const names = await readdir(directory, { recursive: true });
  return names.filter((name) => name.includes("/")).map((name) => join(directory, name));
}
