import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { Process } from "../../demo/process.ts";

/** Whether a process runs. A zombie, which waits for its parent, does not. */
function runs(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
}

t.test("stopping a server also stops its children, even if they ignore SIGTERM", async (t) => {
  // tftpd-hpa's children are like this one: they wait a minute for a client that is gone.
  const server = new Process("bash", [
    "-c",
    "(trap '' TERM; exec sleep 300) & echo child $!; exec sleep 300",
  ]);
  const [, child] = await server.until(/child (\d+)\s/, { seconds: 60 });
  t.ok(runs(Number(child)));
  await server.stop();
  t.notOk(runs(Number(child)));
});

t.test("output that is written before the time is up counts, even if it is read later", async (t) => {
  const written = join(t.testdir({}), "written");
  await using process = new Process("bash", ["-c", 'echo it is here; touch "$0"; exec sleep 300', written]);
  // From here on, the event loop runs timers before it reads pipes.
  await setImmediate();
  const found = process.until(/it is (here)\n/, { seconds: 0.1 });
  // This loop blocks the process, as a busy machine might.
  const end = performance.now() + 200;
  while (!existsSync(written) || performance.now() < end);
  t.equal((await found)[1], "here");
  await t.rejects(process.until(/never\n/, { seconds: 0.1 }), { message: /no .*never.* within 0\.1 s$/ });
});

t.test("text is found despite control sequences in it, such as a BIOS writes", async (t) => {
  const written = String.raw`\033[2;1HPXEL\033[2;5HINUX 6.\033[2;12H04 PXE\n`;
  await using process = new Process("bash", ["-c", `printf '${written}'; exec sleep 300`]);
  t.equal((await process.until(/(PXELINUX \d\S*)\s/, { seconds: 60 }))[1], "PXELINUX 6.04");
});

t.test("a pattern that may match half a number is refused", async (t) => {
  await using process = new Process("bash", ["-c", "printf 'port 80'; sleep 0.2; echo 80"]);
  await t.rejects(process.until(/port (\d+)/, { seconds: 60 }), { message: /what follows the repetition/ });
  const [, port] = await process.until(/port (\d+)\s/, { seconds: 60 });
  t.equal(port, "8080");
});
