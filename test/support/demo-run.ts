/** Runs the demo as a child process of a test, with a TMPDIR of its own so that leftovers can be found. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Process } from "../../demo/process.ts";
import { leftovers } from "./leftovers.ts";

const DEMO = join(import.meta.dirname, "../../demo/demo.ts");

export interface DemoRun extends AsyncDisposable {
  demo: Process;
  /** What the demo left behind; call this after it has ended. */
  leftovers(): Promise<string[]>;
}

/** Starts the demo; disposing ends it. */
export async function startDemo(): Promise<DemoRun> {
  const directory = await mkdtemp(join(tmpdir(), "icfs-test-"));
  // The demo's dnsmasq runs as nobody, and must be able to reach its files.
  await chmod(directory, 0o755);
  const demo = new Process(process.execPath, [DEMO], { ...process.env, TMPDIR: directory });
  return {
    demo,
    leftovers: () => leftovers(directory, demo.pid ?? 0),
    async [Symbol.asyncDispose]() {
      await demo.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
