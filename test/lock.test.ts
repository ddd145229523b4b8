/** Locks among the processes of a host: one holder at a time, in whatever containers they are; a lock is free when its holder has ended. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { takeLock, withLock } from "../lib/lock.ts";
import { temporaryDirectory } from "./support/icfs.ts";

const HOLDER = fileURLToPath(new URL("lock-holder.ts", import.meta.url));

t.test("a lock has one holder at a time, across containers too, and a killed holder frees it", async (t) => {
  const file = join(await temporaryDirectory(t), "lock");
  const container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
  for (const [program, ...args] of [[process.execPath], [...container, process.execPath]]) {
    const holder: ChildProcess = spawn(program!, [...args, HOLDER, file], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.teardown(() => void holder.kill("SIGKILL"));
    await once(holder.stdout!, "data");
    let isFree = false;
    const taken = withLock(file, async () => t.ok(isFree, "after its holder's end"));
    // By then withLock() has tried a few times.
    await new Promise((resolve) => setTimeout(resolve, 200));
    isFree = true;
    holder.kill("SIGKILL");
    await taken;
  }
  t.equal((await readFile(file)).length, 0, "nothing is ever written to the lock file");
});

t.test("when a file cannot be a lock, the error says why", async (t) => {
  const directory = await temporaryDirectory(t);
  const absent = join(directory, "absent/lock");
  await t.rejects(
    withLock(absent, async () => t.fail("not without it")),
    { code: "ENOENT" },
  );
  const file = join(directory, "garbage");
  await writeFile(file, "x".repeat(5000));
  await t.rejects(
    withLock(file, async () => t.fail("not without it")),
    {
      name: "UserError",
      message: /garbage, which is used as a lock and should be empty, is damaged: remove it$/,
    },
  );
  const elsewhere = join(directory, "elsewhere");
  for (const program of ["mkfifo", "mkdir", "ln -s /dev/zero", `ln -sf ${elsewhere}`]) {
    const path = join(directory, program.split(" ").slice(0, 2).join("").replaceAll("/", "-"));
    execFileSync("sh", ["-c", `${program} "$1"`, "sh", path]);
    await t.rejects(
      withLock(path, async () => t.fail("not without it")),
      { name: "UserError", message: /, which is used as a lock, is not a file: remove it$/ },
      program,
    );
  }
});

t.test("an attempt without waiting fails at once, and its error mentions no seconds", async (t) => {
  const file = join(await temporaryDirectory(t), "lock");
  await withLock(file, async () => {
    await t.rejects(
      withLock(file, async () => t.fail("not without it"), 0),
      { name: "UserError", message: /^another process has \S+lock locked: end it if it hangs/ },
    );
    t.equal(await takeLock(file, 0), undefined);
  });
  const lock = await takeLock(file, 0);
  t.equal(await takeLock(file, 0), undefined, "the lock cannot be taken until it is closed");
  lock!.close();
  (await takeLock(file, 0))!.close();
});
