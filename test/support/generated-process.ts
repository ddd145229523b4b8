/** Runs a generated network (generated-network.ts) as a process of its own, which ends with the test unless it is ended earlier. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { GeneratedNetworkOptions } from "./generated-network.ts";
import type { Test } from "./icfs.ts";

const SCRIPT = fileURLToPath(new URL("generated-network.ts", import.meta.url));

export interface GeneratedProcess {
  readonly url: string;
  /** In hexadecimal. */
  readonly rootKey: string;
  readonly canister: string;
  /** Resolves when the next release has been made. */
  nextRelease(): Promise<void>;
}

/** Resolves when it serves: hashing takes about 2 s per GiB. @throws Error when it cannot be started */
export async function startGeneratedProcess(
  t: Test,
  options: GeneratedNetworkOptions,
): Promise<GeneratedProcess> {
  const child = spawn(process.execPath, [SCRIPT, JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  child.stdout.setEncoding("utf8");
  const line = await Promise.race([once(child.stdout, "data"), ended.then(() => undefined)]);
  if (line === undefined) throw new Error("the generated network has ended");
  const network = JSON.parse(line[0]) as Omit<GeneratedProcess, "nextRelease">;
  return {
    ...network,
    async nextRelease() {
      const { ok, status } = await fetch(`${network.url}/next-release`, { method: "POST" });
      if (!ok) throw new Error(`the generated network answers with status ${status}`);
    },
  };
}
