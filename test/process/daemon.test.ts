import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t from "tap";
import { isBackgroundChild, notifyFailed, notifyReady } from "../../lib/process/daemon.ts";
import { eventually, HUNG } from "../mount/mounts.ts";

const FIXTURE = fileURLToPath(new URL("background-fixture.ts", import.meta.url));

async function start(mode: string, logFile: string, cwd = process.cwd()) {
  const { stdout } = await promisify(execFile)(process.execPath, [FIXTURE, "start", logFile, FIXTURE, mode], {
    cwd,
    timeout: HUNG,
  });
  return JSON.parse(stdout);
}

const isRunning = (pid: number) =>
  readFile(`/proc/${pid}/stat`, "utf8").then(
    (stat) => !stat.includes(") Z "),
    () => false,
  );

t.test("when the copy is ready, the parent exits, and the copy goes on in its own session", async (t) => {
  const logFile = join(t.testdir(), "new", "log");
  const { pid, message } = await start("ready", logFile, t.testdirName);
  t.teardown(() => process.kill(pid, "SIGKILL"));
  t.same(message, { before: t.testdirName, child: true, pid });
  t.equal(await isRunning(pid), true);
  const stat = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]!.split(" ");
  t.equal(Number(stat[3]), pid, "the daemon leads its session");
  t.equal(await readlink(`/proc/${pid}/cwd`), "/");
  t.equal(await readlink(`/proc/${pid}/fd/0`), "/dev/null");
  for (const descriptor of [1, 2]) t.equal(await readlink(`/proc/${pid}/fd/${descriptor}`), logFile);
  await eventually("it writes on", async () => (await readFile(logFile, "utf8")) === "before\nafter\n");
});

t.test("the copy goes on when its log is a pipe that nobody reads", async (t) => {
  const logFile = join(t.testdir(), "pipe");
  await promisify(execFile)("mkfifo", [logFile]);
  const { pid } = await start("talkative", logFile);
  t.teardown(() => process.kill(pid, "SIGKILL"));
  t.equal(await isRunning(pid), true);
});

t.test("when the copy fails, the parent gets the reason", async (t) => {
  t.same(await start("failed", join(t.testdir(), "log")), { name: "UserError", failed: "no such canister" });
});

t.test("when the copy ends without a message, the parent says how, with the log of this run", async (t) => {
  const logFile = join(t.testdir({ log: "of an earlier run\n" }), "log");
  t.same(await start("silent", logFile), {
    name: "UserError",
    failed: "the background process ended with exit code 3 before it was ready:\nlast words",
  });
  t.same(await start("killed", logFile), {
    name: "UserError",
    failed: "the background process ended by SIGKILL before it was ready",
  });
  t.same(await start("silent", "/dev/null"), {
    name: "UserError",
    failed: "the background process ended with exit code 3 before it was ready",
  });
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  t.test(`${signal} before the copy is ready ends both`, async (t) => {
    const logFile = join(t.testdir(), "log");
    const parent = spawn(process.execPath, [FIXTURE, "start", logFile, FIXTURE, "waiting"], {
      stdio: "ignore",
    });
    const ended = once(parent, "exit");
    let pid = 0;
    await eventually("the copy runs", async () => {
      pid = Number((await readFile(logFile, "utf8").catch(() => "")).match(/^waiting (\d+)$/m)?.[1] ?? 0);
      return pid > 0;
    });
    parent.kill(signal);
    t.same(await ended, [{ SIGINT: 130, SIGTERM: 143 }[signal], null]);
    t.equal(await isRunning(pid), false);
  });
}

t.test("the copy gets an error when its parent was killed", async (t) => {
  const logFile = join(t.testdir(), "log");
  const parent = spawn(process.execPath, [FIXTURE, "start", logFile, FIXTURE, "orphan"], { stdio: "ignore" });
  t.same(await once(parent, "exit"), [null, "SIGKILL"]);
  await eventually("the copy ends", async () => (await readFile(logFile, "utf8")).includes("orphan ends"));
  t.match(await readFile(logFile, "utf8"), /orphan: .*closed/);
});

t.test("in the foreground, notifications do nothing", async (t) => {
  const before = process.cwd();
  t.equal(isBackgroundChild(), false);
  await notifyReady({});
  await notifyFailed(new Error("unheard"));
  t.equal(process.cwd(), before);
});
