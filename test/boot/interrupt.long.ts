/** The demo leaves nothing behind when it is interrupted, at any stage. */
import t from "tap";
import { startDemo } from "../support/demo-run.ts";

/** A stage, the signal that is sent once that stage is done and the next one is under way, and the demo's exit code. */
const INTERRUPTIONS = [
  ["tree", "SIGINT", 130],
  ["local network", "SIGINT", 130],
  ["deploy", "SIGTERM", 143],
  ["publish", "SIGINT", 130],
  ["mount", "SIGTERM", 143],
  ["iPXE", "SIGINT", 130],
] as const;

for (const [stage, signal, code] of INTERRUPTIONS) {
  t.test(`${signal} after "${stage}"`, async (t) => {
    await using run = await startDemo();
    await run.demo.until(new RegExp(` s  ${stage} .+\\n`), { seconds: 600 });
    process.kill(run.demo.pid!, signal);
    t.equal(await run.demo.exit, code, "exit code");
    t.match(run.demo.output, `interrupted (${signal})`, "says so");
    t.notMatch(run.demo.output, "by force", "every process ends without being killed");
    t.same(await run.leftovers(), [], "the demo leaves nothing behind");
  });
}
