/**
 * Starts a network with one canister whose tree is generated (test/support/generated-network.ts), in a process of its own. The
 * process ends when its stdin does.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const NETWORK = fileURLToPath(new URL("../test/support/generated-network.ts", import.meta.url));

export interface GeneratedNetwork extends AsyncDisposable {
  readonly url: string;
  readonly rootKey: string;
  readonly canister: string;
}

/** Disposing ends the process. @param latency milliseconds of a round trip @throws Error when the process ends at once */
export async function startGeneratedNetwork(
  small: { readonly directories: number; readonly filesEach: number },
  latency: number,
): Promise<GeneratedNetwork> {
  const child = spawn(process.execPath, [NETWORK, JSON.stringify({ small, latency })], {
    // In a process group of its own: Ctrl-C in a terminal reaches this process, which ends that one.
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const [line] = (await Promise.race([once(child.stdout, "data"), ended])) as [Buffer | number | null];
  if (!(line instanceof Buffer)) throw new Error("the generated network has ended");
  return {
    ...JSON.parse(line.toString()),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}
