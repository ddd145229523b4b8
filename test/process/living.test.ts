/** Which processes are alive, by the names that others have written down. */
import { readFileSync } from "node:fs";
import t from "tap";
import { Process } from "../../demo/process.ts";
import { nameOfThisProcess, stateOfProcess } from "../../lib/process/living.ts";
import { eventually } from "../mount/mounts.ts";

const fieldsOf = (pid: string) =>
  readFileSync(`/proc/${pid}/stat`, "latin1").replace(/.*\) /s, "").split(" ");

t.test("a process that has ended is gone, even while it is a zombie", async (t) => {
  const own = nameOfThisProcess();
  t.equal(stateOfProcess(own), "alive");
  // The shell becomes a `sleep`, which never asks for its child's exit code.
  await using parent = new Process("bash", ["-c", "sleep 1000 & echo child $!; exec sleep 1000"]);
  const [, pid = ""] = await parent.until(/child (\d+)\s/, { seconds: 60 });
  const name = `${pid}-${fieldsOf(pid)[19]}-${own.split("-")[2]}`;
  t.equal(stateOfProcess(name), "alive");
  const program = () => readFileSync(`/proc/${parent.pid}/comm`, "utf8");
  await eventually("the parent is that program", () => program() === "sleep\n");
  process.kill(Number(pid), "SIGKILL");
  await eventually("it is a zombie", async () => fieldsOf(pid)[0] === "Z");
  t.equal(stateOfProcess(name), "gone");
});
