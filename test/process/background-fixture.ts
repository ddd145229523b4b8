/**
 * Both ends of a background start, for its tests. `background-fixture.ts start LOGFILE SCRIPT ARGUMENT...` is the parent:
 * it prints what runInBackground resolves or rejects with, as JSON. `background-fixture.ts MODE` is a copy that does as
 * MODE says.
 */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { isBackgroundChild, notifyFailed, notifyReady, runInBackground } from "../../lib/process/daemon.ts";
import { LogFile } from "../../lib/process/log-file.ts";

// Longer than any test: the test ends these processes.
const FOR_EVER_MS = 600_000;

const modes: Record<string, () => Promise<void>> = {
  ready: async () => {
    console.log("before");
    const before = process.cwd();
    await notifyReady({ before, child: isBackgroundChild(), pid: process.pid });
    console.log("after");
    await sleep(FOR_EVER_MS);
  },
  talkative: async () => {
    const log = new LogFile("/no/other");
    // More than a pipe holds.
    for (let i = 0; i < 100; i++) log.write(`${"x".repeat(4095)}\n`);
    await notifyReady({});
    await sleep(FOR_EVER_MS);
  },
  failed: async () => {
    await notifyFailed(new Error("no such canister"));
    process.exit(1);
  },
  silent: async () => {
    console.error("last words");
    process.exit(3);
  },
  killed: async () => {
    process.kill(process.pid, "SIGKILL");
  },
  waiting: async () => {
    console.log(`waiting ${process.pid}`);
    await sleep(FOR_EVER_MS);
  },
  orphan: async () => {
    const closed = once(process, "disconnect");
    process.kill(process.ppid, "SIGKILL");
    await closed;
    await notifyReady({}).catch((error) => console.log(`orphan: ${error.message}`));
    console.log("orphan ends");
  },
};

const [role, ...parameters] = process.argv.slice(2);
if (role === "start") {
  const [logFile, ...argv] = parameters as [string, ...string[]];
  const outcome = await runInBackground({ argv, env: process.env, logFile }).catch((error) => ({
    name: error.name,
    failed: error.message,
  }));
  console.log(JSON.stringify(outcome));
} else {
  await modes[role!]!();
}
