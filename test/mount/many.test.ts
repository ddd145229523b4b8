/** Many mounts in one process, at a few mountpoints at once: none leaves a descriptor, a thread or memory behind. Over the kernel transport. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import t from "tap";
import { HUNG, mountedAt, mountpointFor } from "./mounts.ts";

t.setTimeout(20 * HUNG);

const FIXTURE = fileURLToPath(new URL("many-fixture.ts", import.meta.url));
/** many.long.ts has more. */
const MOUNTS = Number(process.env.TEST_MOUNTS ?? 50);
/** As many as keep two cores busy. */
const MOUNTPOINTS = 3;
/**
 * By how much the memory in use may grow after garbage collection, in MiB: a mount that is not freed keeps buffers of
 * 128 KiB. RSS would not show that: malloc gives little of it back.
 */
const MOST_GROWTH_MIB = 3;
/** Descriptors and threads that come and go, such as one that reads the table of mounts. */
const FEW = 3;

interface Usage {
  readonly mounts: number;
  readonly descriptors: number;
  readonly threads: number;
  readonly memoryMiB: number;
}

t.test(`${MOUNTS} mounts, ${MOUNTPOINTS} at a time`, async (t) => {
  const mountpoints: string[] = [];
  for (let i = 0; i < MOUNTPOINTS; i++) mountpoints.push(await mountpointFor(t));
  const child = spawn(process.execPath, ["--expose-gc", FIXTURE, String(MOUNTS), ...mountpoints], {
    stdio: ["ignore", "pipe", "inherit"],
    // Two threads of Node's pool wait in each mount's /dev/fuse.
    env: { ...process.env, UV_THREADPOOL_SIZE: String(2 * MOUNTPOINTS + 4) },
  });
  t.teardown(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  t.same(await once(child, "close"), [0, null]);
  const usages: Usage[] = said
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const [early, late] = [usages[0]!, usages.at(-1)!];
  t.comment(said);
  t.equal(late.mounts, MOUNTS);
  t.ok(
    late.descriptors <= early.descriptors + FEW,
    `${early.descriptors} descriptors before, ${late.descriptors} after`,
  );
  t.ok(late.threads <= early.threads + FEW, `${early.threads} threads before, ${late.threads} after`);
  t.ok(
    late.memoryMiB <= early.memoryMiB + MOST_GROWTH_MIB,
    `${early.memoryMiB} MiB before, ${late.memoryMiB} after`,
  );
  for (const mountpoint of mountpoints) t.equal(await mountedAt(mountpoint), undefined);
});
