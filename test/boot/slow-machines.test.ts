/**
 * Machines that take longer than `--quiet` to fetch their kernel get the initrd of the same release, through dnsmasq, and through
 * tftpd-hpa, which forks for each transfer.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { HOST_ADDRESS, makeNamespace, type Namespace } from "../../demo/namespace.ts";
import { eventually, HUNG } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";
import { stackOf } from "../support/stack.ts";
import { startTftpdHpa } from "./tftpd-hpa.ts";

t.setTimeout(10 * HUNG);

const CLIENT = join(import.meta.dirname, "slow-tftp.py");
/** Many more blocks than a slow machine fetches in the test. */
const KERNEL_BYTES = 500_000;
const QUIET_S = 2;
/** At the client's pace of 0.3 s, this many blocks take longer than QUIET_S. */
const LONG = 9;

const files = (release: number) => ({
  kernel: Buffer.alloc(KERNEL_BYTES, release),
  initrd: Buffer.alloc(100_000, release + 100),
});

interface Machine {
  /** How many blocks of the kernel have arrived. */
  blocks(): number;
  /** Makes the machine fetch the rest at full speed. Resolves to the SHA-256 of its kernel, and of its initrd. */
  hurry(): Promise<unknown[]>;
}

/** Starts a slow boot. Resolves when the machine has the beginning of its kernel. */
async function boot(t: Test, namespace: Namespace): Promise<Machine> {
  const [command, args] = namespace.inside("python3", [CLIENT, HOST_ADDRESS, "--slow", "kernel", "initrd"]);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  t.teardown(async () => void child.kill("SIGKILL"));
  let blocks = 0;
  const got: unknown[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    const said = JSON.parse(line);
    if ("blocks" in said) ({ blocks } = said);
    else got.push(said.sha256 ?? said.error);
  });
  await eventually("it has begun", () => blocks > 0);
  return {
    blocks: () => blocks,
    async hurry() {
      child.stdin.write("\n");
      await eventually("it has both", () => got.length === 2);
      return got;
    },
  };
}

t.test("slow machines get the kernel and initrd of one release, by dnsmasq and by tftpd-hpa", async (t) => {
  const c = await startMountable(t);
  const first = await c.publish(files(1));
  const mounted = await c.mount("--refresh", "0.3", "--quiet", String(QUIET_S), "--switch-within", "1h");
  const stack = stackOf(t);
  const networks: Namespace[] = [];
  for (const start of [startDnsmasq, startTftpdHpa]) {
    const namespace = stack.use(await makeNamespace(`icfs-slow-${process.pid}-${networks.length}`));
    stack.use(await start(namespace, mounted.mountpoint, {}));
    networks.push(namespace);
  }
  const expected = Object.values(files(1)).map((bytes) => createHash("sha256").update(bytes).digest("hex"));
  const [byDnsmasq, byTftpdHpa] = networks as [Namespace, Namespace];
  const stays = async (machine: Machine, by: string) => {
    const before = machine.blocks();
    await eventually("it takes its time", () => machine.blocks() >= before + LONG);
    t.equal(
      (await mounted.status()).release,
      first,
      `the mount keeps its release while ${by} has a file open`,
    );
  };

  const one = await boot(t, byDnsmasq);
  const second = await c.publish(files(2));
  await eventually(
    "a release waits",
    async () => (await mounted.status()).next?.state === "waiting for quiet",
  );
  await stays(one, "dnsmasq");
  const other = await boot(t, byTftpdHpa);
  t.same(await one.hurry(), expected);
  await stays(other, "tftpd-hpa");
  t.same(await other.hurry(), expected);
  await eventually("the next one is live", async () => (await mounted.status()).release === second);
  await stack.disposeAsync();
  await mounted.umount();
});
