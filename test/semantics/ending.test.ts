/** docs/SEMANTICS.md, "Ending": how mounts end, and what remains. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import t from "tap";
import { eventually, HUNG, mountedAt, mountpointFor, occupy, serve, sh } from "../mount/mounts.ts";

t.setTimeout(10 * HUNG);

t.test("31. SIGTERM and SIGINT unmount, even if the mount is in use; a read that waits fails", async (t) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const mountpoint = await mountpointFor(t);
    const served = await serve(t, mountpoint);
    await occupy(t, `os.chdir("${mountpoint}")`);
    await occupy(t, `file = os.open("${mountpoint}/big", os.O_RDONLY)`);
    const reader = spawn("python3", [
      "-c",
      `
import os
file = os.open("${mountpoint}/special/never", os.O_RDONLY)
print("open", flush=True)
try:
    os.read(file, 10)
except OSError as error:
    print(error.strerror)
`,
    ]);
    let said = "";
    reader.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const closed = once(reader, "close");
    await eventually("the file is open", () => said !== "");
    t.ok(await mountedAt(mountpoint));
    served.process.kill(signal);
    t.equal(await served.ended, 0, signal);
    await closed;
    t.equal(said, "open\nInput/output error\n", "a waiting read fails with an input/output error");
    t.equal(await mountedAt(mountpoint), undefined);
    t.equal((await sh("ls", "-A", mountpoint)).stdout, "");
  }
});

t.test("32. the next mount replaces the dead mount that SIGKILL leaves behind", async (t) => {
  const mountpoint = await mountpointFor(t);
  const killed = await serve(t, mountpoint, "first");
  killed.process.kill("SIGKILL");
  await killed.ended;
  t.match((await sh("ls", mountpoint)).stderr, /Transport endpoint is not connected/);
  const served = await serve(t, mountpoint, "second");
  t.match(served.stderr(), /removing a dead mount of first/);
  t.equal((await mountedAt(mountpoint))?.source, "second");
  t.equal((await sh("cat", `${mountpoint}/hello.txt`)).stdout, "hello\n");
  served.process.kill("SIGTERM");
  t.equal(await served.ended, 0);
  t.equal(await mountedAt(mountpoint), undefined, "no mount is left underneath");
});

t.test(
  "33. when somebody unmounts a mount, its process ends; open files can be read to the end",
  async (t) => {
    const unmounted = await mountpointFor(t);
    const idle = await serve(t, unmounted);
    t.equal((await sh("umount", unmounted)).code, 0);
    t.equal(await idle.ended, 0);

    const mountpoint = await mountpointFor(t);
    const served = await serve(t, mountpoint);
    const script = `
import os, subprocess, sys
file = os.open(sys.argv[1] + "/big", os.O_RDONLY)
subprocess.check_call(["umount", "-l", sys.argv[1]])
sys.stdin.readline()
total = 0
while piece := os.read(file, 100000):
    total += len(piece)
print(total, end="", flush=True)
`;
    const reader = spawn("python3", ["-c", script, mountpoint], { stdio: ["pipe", "pipe", "inherit"] });
    t.teardown(() => void reader.kill("SIGKILL"));
    const total = once(reader.stdout, "data");
    await eventually("it has noticed", () => /lazily unmounted; 1 open files/.test(served.stderr()));
    reader.stdin.end("\n");
    t.equal(String((await total)[0]), "5000003");
    t.equal(await served.ended, 0);

    // A mount whose connection is cut serves nobody any more.
    const cutOff = await mountpointFor(t);
    const third = await serve(t, cutOff);
    await occupy(t, `os.chdir("${cutOff}")`);
    t.match((await sh("umount", "-f", cutOff)).stderr, /busy/);
    t.equal(await third.ended, 0);
    t.match(third.stderr(), /was cut off/);
    t.equal(await mountedAt(cutOff), undefined);
  },
);

t.test("34. a crash is logged with its reason, and leaves no dead mount", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  await sh("cat", `${mountpoint}/special/crashing`);
  t.equal(await served.ended, 1);
  t.match(served.stderr(), /nobody catches this/);
  t.equal(await mountedAt(mountpoint), undefined);
});
