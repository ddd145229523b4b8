import { existsSync, readFileSync } from "node:fs";
import t from "tap";
import { Process } from "../../demo/process.ts";

/** Whether it runs: an ended process may wait for its parent. */
function runs(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
}

t.test("what a server has forked ends with it, also when it does not care for SIGTERM", async (t) => {
  // As tftpd-hpa's children, which wait a minute for a client that is gone.
  const server = new Process("bash", [
    "-c",
    "(trap '' TERM; exec sleep 300) & echo child $!; exec sleep 300",
  ]);
  const [, child] = await server.until(/child (\d+)\s/, { seconds: 60 });
  t.ok(runs(Number(child)));
  await server.stop();
  t.notOk(runs(Number(child)));
});
