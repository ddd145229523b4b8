/**
 * The boot ledger in use: machines boot from dnsmasq with packaging/dnsmasq-ledger, over a mount that switches to another release meanwhile.
 * Some transfers break off. The ledger lists what the machines got, and `icfs boots` and `icfs explain` say the same.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { makeNamespace } from "../../demo/namespace.ts";
import { run } from "../../demo/process.ts";
import type { Boot } from "../../lib/ledger/boots.ts";
import { parseLine } from "../../lib/ledger/line.ts";
import { eventually, grows, HUNG } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";
import { stackOf } from "../support/stack.ts";

/** dnsmasq runs a shell script for each of a thousand files, so the time goes into work, not into waiting. */
const LONGEST = 20 * HUNG;
t.setTimeout(LONGEST);

const CLIENT = join(import.meta.dirname, "slow-tftp.py");
const PEN = join(import.meta.dirname, "../../packaging/dnsmasq-ledger");
const SERVER = "192.168.8.1";
/** How many machines boot at once. One more boots later. */
const MACHINES = 25;
const BREAK_OFF = 20;
const LOADER = "pxelinux.0";
const NAMES = [LOADER, "kernel", "a b/é"];
const ALL_NAMES = [...NAMES, ...Array.from({ length: 37 }, (_, i) => `modules/${i}`)];
const TRANSFERS = MACHINES * ALL_NAMES.length;

const addressOf = (machine: number) => `192.168.8.${10 + machine}`;
const macOf = (machine: number) => `52:54:00:69:64:${(16 + machine).toString(16)}`;

interface Got {
  readonly machine: number;
  readonly name: string;
  readonly sha256?: string;
  readonly bytes?: number;
}

t.test("the ledger lists each transfer that dnsmasq has completed", async (t) => {
  const stack = stackOf(t);
  const c = await startMountable(t);
  const files = (release: number) =>
    Object.fromEntries(
      ALL_NAMES.map((name, i) => [name, Buffer.alloc(1500 + i, name === "kernel" ? release : i + 7)]),
    );
  await c.publish(files(1));
  const mounted = await c.mount("--refresh", "0.3", "--quiet", "0");

  const namespace = stack.use(await makeNamespace(`icfs-ledger-${process.pid}`));
  const placeOf = (machine: number) => `icfs-ledger-${process.pid}-${machine}`;
  const lines = ["link add boot type bridge", `address add ${SERVER}/24 dev boot`, "link set boot up"];
  for (let i = 0; i <= MACHINES; i++) {
    await run("ip", ["netns", "add", placeOf(i)]);
    stack.defer(async () => void (await run("ip", ["netns", "delete", placeOf(i)])));
    lines.push(
      `link add port${i} type veth peer name eth0 address ${macOf(i)} netns ${placeOf(i)}`,
      `link set port${i} master boot up`,
    );
  }
  const inNamespace = (name: string, commands: readonly string[]) =>
    run("sh", ["-c", `printf '%s\n' "$@" | ip -n ${name} -batch -`, "sh", ...commands]);
  await inNamespace(namespace.name, lines);
  for (let i = 0; i <= MACHINES; i++)
    await inNamespace(placeOf(i), [`address add ${addressOf(i)}/24 dev eth0`, "link set eth0 up"]);

  // The ledger is not in the mount's home, because dnsmasq's user may not enter that.
  const directory = await mkdtemp(join(tmpdir(), "icfs-ledger-"));
  stack.defer(() => rm(directory, { recursive: true }));
  const log = join(directory, "boots.log");
  const env = { ...process.env, ICFS_BOOT_LOG: log, ICFS_LEASES: "/dev/null" };
  const script = [`--dhcp-script=${PEN}`, "--interface=boot"];
  stack.use(await startDnsmasq(namespace, mounted.mountpoint, { env }, script));

  const boot = async (machine: number, names: readonly string[]): Promise<Got[]> => {
    const inside = [`--net=/run/netns/${placeOf(machine)}`, "--", "python3", CLIENT, SERVER];
    const said = await run("nsenter", [...inside, "--break-off", String(BREAK_OFF), ...names], {
      seconds: LONGEST / 1000,
    });
    return said
      .trim()
      .split("\n")
      .map((line: string) => ({ machine, ...JSON.parse(line) }));
  };
  const written = async () => (await readFile(log, "utf8").catch(() => "")).split("\n").slice(0, -1);
  const count = async () => (await written()).length;
  const got = await Promise.all(Array.from({ length: MACHINES }, (_, i) => boot(i, ALL_NAMES)));
  const whole = got.flat().filter(({ sha256 }) => sha256 !== undefined);
  t.equal(
    whole.length,
    TRANSFERS - TRANSFERS / BREAK_OFF,
    "all transfers complete except those that are broken off",
  );
  await grows("lines of the ledger", whole.length, count);
  await c.publish(files(2));
  await eventually("the mount has followed", async () => (await mounted.status()).release === 2);
  whole.push(...(await boot(MACHINES, NAMES)));
  await grows("lines of the ledger, with what came after", whole.length, count);

  // The order is not compared: when scripts are hundreds of transfers behind, dnsmasq runs the newest transfer's script first.
  const inAnyOrder = (list: readonly object[]) => list.map((one) => JSON.stringify(one)).sort();
  t.same(
    inAnyOrder(
      (await written()).map((line) => {
        const { address, mac, file, size, origin } = parseLine(line).transfer;
        return { address, mac, file, size, ...origin, header: undefined };
      }),
    ),
    inAnyOrder(
      whole.map(({ machine, name, sha256, bytes }) => ({
        address: addressOf(machine),
        mac: macOf(machine),
        file: mounted.at(name),
        size: bytes,
        canister: c.id,
        release: machine < MACHINES ? 1 : 2,
        header: undefined,
        sha256,
        path: name,
      })),
    ),
  );

  const options = ["--boot-log", log];
  t.match(await c.icfs(["boots", "--check", ...options]), {
    code: 0,
    stdout: new RegExp(`^${whole.length} lines in 1 file, each written after the one before`),
  });
  const listed = (await c.icfs(["boots", "--json", ...options])).stdout.trim().split("\n");
  const boots = listed.map((line) => JSON.parse(line) as Boot);
  t.same(
    inAnyOrder(boots.map(({ mac, transfers }) => ({ mac, files: transfers.map(({ file }) => file).sort() }))),
    inAnyOrder(
      Array.from(
        Map.groupBy(whole, ({ machine }) => machine),
        ([machine, transfers]) => ({
          mac: macOf(machine),
          files: transfers.map(({ name }) => mounted.at(name)).sort(),
        }),
      ),
    ),
    "each machine has one boot, with all the files that it got",
  );
  const [MAC, MACHINE] = [macOf(MACHINES), addressOf(MACHINES)];
  t.match(await c.icfs(["boots", "--stale", ...options]), {
    code: 0,
    stdout: new RegExp(
      `: ${mounted.at("kernel")}\na reboot would change ${MACHINES} of ${MACHINES + 1} machines\n$`,
    ),
  });
  t.match(await c.icfs(["explain", MAC, ...options]), {
    code: 0,
    stdout: new RegExp(
      `release 2 of ${c.id}, header [0-9a-f]{64}: certified by the subnet\n(.*: as in the release\n){3}$`,
    ),
    stderr: "",
  });

  await t.test(
    "a release that changes a booted file makes the boot stale, but the boot stays proved",
    async (t) => {
      await c.publish(files(3));
      await eventually("the mount has followed", async () => (await mounted.status()).release === 3);
      const { stdout } = await c.icfs(["boots", "--stale", ...options]);
      t.match(stdout, `${MAC} ${MACHINE}, booted `);
      t.match(
        stdout,
        `: ${mounted.at("kernel")}\na reboot would change ${MACHINES + 1} of ${MACHINES + 1} machines`,
      );
      t.match(await c.icfs(["explain", MACHINE, ...options]), { code: 0, stdout: /release 2 of/ });
    },
  );

  await t.test("a changed hash in the ledger is detected", async (t) => {
    const forgedAt = (await written()).findIndex((line) => line.includes(whole.at(-2)!.sha256!));
    const forged = (await readFile(log, "utf8")).replaceAll(whole.at(-2)!.sha256!, "00".repeat(32));
    await writeFile(log, forged);
    t.match(await c.icfs(["boots", "--check", ...options]), {
      code: 1,
      stdout: `${log}:${forgedAt + 2}: the line before it is not the one that it was written after\n`,
      stderr: "the ledger is not as it was written",
    });
    t.match(await c.icfs(["explain", MAC, ...options]), {
      code: 1,
      stdout: /kernel, 1.5 kB, SHA-256 0{64}: the release has another one, of SHA-256/,
      stderr: /is not proved/,
    });
    t.match(await c.icfs(["explain", "52:54:00:00:00:00", ...options]), {
      code: 1,
      stderr: /has no boot of/,
    });
  });
  await stack.disposeAsync();
  await mounted.umount();
});
