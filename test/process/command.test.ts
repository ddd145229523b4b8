/** The host's small commands: their output. None is waited for, or stays, longer than its limit. */
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { run } from "../../lib/process/command.ts";
import { HUNG, temporaryDirectory } from "../support/icfs.ts";

const script = (text: string): [string, string[]] => ["sh", ["-c", text]];

t.test("a command runs in the C locale and returns its code, output and errors", async (t) => {
  const { code, stdout, stderr, timedOut } = await run(...script("echo $LC_ALL; echo no >&2; exit 3"), HUNG);
  t.same({ code, stdout, stderr, timedOut }, { code: 3, stdout: "C\n", stderr: "no\n", timedOut: false });
  t.equal(
    (await run(...script("kill -KILL $$"), HUNG)).code,
    null,
    "a command ended by a signal has no exit code",
  );
  await t.rejects(run("icfs-no-such-command", [], HUNG), { code: "ENOENT" });
});

t.test("a command gets the environment and the descriptor that it is given", async (t) => {
  const file = join(await temporaryDirectory(t), "file");
  await writeFile(file, "content");
  await using handle = await open(file, "r");
  const options = { descriptor: handle.fd, environment: { WHO: "me" } };
  t.equal((await run(...script("cat <&3; echo $WHO"), HUNG, options)).stdout, "contentme\n");
});

t.test("a command that hangs is killed, even if it ignores signals", async (t) => {
  const hanging = "trap '' TERM INT HUP; echo $$; while :; do sleep 1; done";
  // The limit counts from the first output: by then the traps are set, and the process id is known.
  const { code, stdout, timedOut } = await run(...script(hanging), 100, { startMs: HUNG });
  t.same({ code, timedOut }, { code: null, timedOut: true });
  const pid = Number(stdout);
  t.ok(pid > 1);
  const lives = () => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  const until = performance.now() + HUNG;
  while (lives() && performance.now() < until) await sleep(20);
  t.notOk(lives(), "it is gone");
});

t.test("a command that prints nothing is given up after its start limit", async (t) => {
  const { timedOut, stdout } = await run(...script("exec sleep 3600"), HUNG, { startMs: 50 });
  t.same({ timedOut, stdout }, { timedOut: true, stdout: "" });
});
