/** A mount in the background, as `icfs mount` makes it: the process that started it has ended. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { runInBackground } from "../../lib/process/daemon.ts";
import { eventually, FIXTURE, HUNG, mountedAt, mountpointFor, sh } from "./mounts.ts";

t.setTimeout(10 * HUNG);

const STARTER = fileURLToPath(new URL("../process/background-fixture.ts", import.meta.url));

const isRunning = (pid: number) =>
  readFile(`/proc/${pid}/stat`, "utf8").then(
    (stat) => !stat.includes(") Z "),
    () => false,
  );

t.test("a background mount is live when the start reports it, and SIGTERM ends it", async (t) => {
  const mountpoint = await mountpointFor(t);
  const logFile = join(t.testdir(), "log");
  const { pid, message } = await runInBackground({ argv: [FIXTURE, mountpoint], env: process.env, logFile });
  t.teardown(() => sh("kill", "-9", String(pid)));
  t.same(message, { mountpoint });
  t.equal((await sh("cat", `${mountpoint}/hello.txt`)).stdout, "hello\n");
  process.kill(pid, "SIGTERM");
  await eventually("the process ends", async () => !(await isRunning(pid)));
  t.equal(await mountedAt(mountpoint), undefined);
  t.match(await readFile(logFile, "utf8"), /info SIGTERM: unmounting/);
});

t.test("the reason for a failure reaches the starting process", async (t) => {
  const mountpoint = await mountpointFor(t);
  const start = runInBackground({
    argv: [FIXTURE, `${mountpoint}/missing`],
    env: process.env,
    logFile: join(t.testdir(), "log"),
  });
  await t.rejects(start, { name: "UserError", message: /missing does not exist/ });
});

t.test("Ctrl-C before the mount is ready leaves nothing mounted", async (t) => {
  const mountpoint = await mountpointFor(t);
  const logFile = join(t.testdir(), "log");
  const starter = spawn(process.execPath, [STARTER, "start", logFile, FIXTURE, mountpoint, "test", "never"]);
  const ended = once(starter, "exit");
  await eventually("it is mounted", async () => (await mountedAt(mountpoint)) !== undefined);
  starter.kill("SIGINT");
  t.same(await ended, [130, null]);
  t.equal(await mountedAt(mountpoint), undefined);
});
