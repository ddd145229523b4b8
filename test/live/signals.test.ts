/** SIGHUP makes a mount look for a new release, SIGUSR1 makes it write its counters. Before there is a mount, neither ends the process. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import t from "tap";
import { plain } from "../support/plain.ts";

const MODULE = fileURLToPath(new URL("../../lib/live/signals.ts", import.meta.url));
/** Prints what its mount was asked for. The mount is there from the second signal on. */
const PROGRAM = `
  import { answerSignals } from ${JSON.stringify(MODULE)};
  let mount;
  answerSignals(() => {
    const now = mount;
    mount = { refresh: () => console.log("refresh"), writeStatistics: () => console.log("statistics") };
    if (now === undefined) console.log("no mount");
    return now;
  });
  setInterval(() => {}, 1000);
  console.log("ready");
`;

t.test("each signal requests one action, once there is a mount", async (t) => {
  const [program, args] = plain(process.execPath, ["--input-type=module", "--eval", PROGRAM]);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  t.teardown(() => child.kill("SIGKILL"));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value;
  t.equal(await next(), "ready");
  for (const [signal, said] of [
    ["SIGHUP", "no mount"],
    ["SIGHUP", "refresh"],
    ["SIGUSR1", "statistics"],
  ] as const) {
    child.kill(signal);
    t.equal(await next(), said, signal);
  }
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  t.same(await ended, [null, "SIGTERM"]);
});
