/**
 * The boot ledger as it comes to be: a machine, dnsmasq with packaging/dnsmasq-ledger, and a mount that goes over to another release in
 * between. Of the transfers some break off. The ledger is what the machine has got, and `icfs boots` and `icfs explain` say so.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { makeNamespace } from "../../demo/namespace.ts";
import { run } from "../../demo/process.ts";
import { parseLine } from "../../lib/ledger/line.ts";
import { eventually, HUNG } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";
import { stackOf } from "../support/stack.ts";

t.setTimeout(5 * HUNG);

const CLIENT = join(import.meta.dirname, "slow-tftp.py");
const PEN = join(import.meta.dirname, "../../packaging/dnsmasq-ledger");
const [SERVER, MACHINE, MAC] = ["192.168.8.1", "192.168.8.2", "52:54:00:69:63:68"];
const BREAK_OFF = 20;
const LOADER = "pxelinux.0";
const NAMES = [LOADER, "kernel", "a b/é"];
const TRANSFERS = 150;

interface Got {
  readonly name: string;
  readonly sha256?: string;
  readonly bytes?: number;
}

t.test("what dnsmasq has sent", async (t) => {
  const stack = stackOf(t);
  const c = await startMountable(t);
  const files = (release: number) => ({
    [LOADER]: Buffer.alloc(1500, 7),
    kernel: Buffer.alloc(2000, release),
    "a b/é": Buffer.alloc(1024, 3),
  });
  await c.publish(files(1));
  const mounted = await c.mount("--refresh", "0.3", "--quiet", "0");

  const namespace = stack.use(await makeNamespace(`icfs-ledger-${process.pid}`));
  const machine = `icfs-ledgered-${process.pid}`;
  await run("ip", ["netns", "add", machine]);
  stack.defer(async () => void (await run("ip", ["netns", "delete", machine])));
  for (const line of [
    `-n ${namespace.name} link add boot1 type veth peer name eth0 address ${MAC} netns ${machine}`,
    `-n ${namespace.name} address add ${SERVER}/24 dev boot1`,
    `-n ${namespace.name} link set boot1 up`,
    `-n ${machine} address add ${MACHINE}/24 dev eth0`,
    `-n ${machine} link set eth0 up`,
  ])
    await run("ip", line.split(" "));

  // The machines of a host have one ledger, wherever it is: not in the mount's home, which dnsmasq's user may not enter.
  const directory = await mkdtemp(join(tmpdir(), "icfs-ledger-"));
  stack.defer(() => rm(directory, { recursive: true }));
  const log = join(directory, "boots.log");
  const env = { ...process.env, ICFS_BOOT_LOG: log, ICFS_LEASES: "/dev/null" };
  const script = [`--dhcp-script=${PEN}`, "--interface=boot1"];
  stack.use(await startDnsmasq(namespace, mounted.mountpoint, { env }, script));

  const boot = async (names: readonly string[]): Promise<Got[]> => {
    const inside = [`--net=/run/netns/${machine}`, "--", "python3", CLIENT, SERVER];
    const said = await run("nsenter", [...inside, "--break-off", String(BREAK_OFF), ...names]);
    return said
      .trim()
      .split("\n")
      .map((line: string) => JSON.parse(line));
  };
  const written = async () => (await readFile(log, "utf8").catch(() => "")).trimEnd().split("\n");
  const many = Array.from({ length: TRANSFERS }, (_, i) => NAMES[i % NAMES.length]!);
  const got = await boot(many);
  const whole = got.filter(({ sha256 }) => sha256 !== undefined);
  t.equal(whole.length, TRANSFERS - Math.floor(TRANSFERS / BREAK_OFF), "some broke off");
  await eventually("all is written", async () => (await written()).length === whole.length);
  await c.publish(files(2));
  await eventually("the mount has followed", async () => (await mounted.status()).release === 2);
  whole.push(...(await boot(NAMES)));
  await eventually("and what came after", async () => (await written()).length === whole.length);

  // Where scripts are hundreds of transfers behind, dnsmasq starts that of the last one first.
  const inAnyOrder = (list: readonly object[]) => list.map((one) => JSON.stringify(one)).sort();
  t.same(
    inAnyOrder(
      (await written()).map((line) => {
        const { address, mac, file, size, origin } = parseLine(line).transfer;
        return { address, mac, file, size, ...origin, header: undefined };
      }),
    ),
    inAnyOrder(
      whole.map(({ name, sha256, bytes }, i) => ({
        address: MACHINE,
        mac: MAC,
        file: mounted.at(name),
        size: bytes,
        canister: c.id,
        release: i < whole.length - NAMES.length ? 1 : 2,
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
  const loaders = whole.filter(({ name }) => name === LOADER).length;
  t.equal(listed.length, loaders, "each loader begins a boot");
  t.match(JSON.parse(listed.at(-1)!), {
    mac: MAC,
    address: MACHINE,
    transfers: [{ file: mounted.at(LOADER) }],
  });
  t.match(await c.icfs(["boots", "--stale", ...options]), {
    code: 0,
    stdout: "a reboot would change 0 of 1 machine\n",
  });
  t.match(await c.icfs(["explain", MAC, ...options]), {
    code: 0,
    stdout: new RegExp(
      `release 2 of ${c.id}, header [0-9a-f]{64}: certified by the subnet\n(.*: as in the release\n){3}$`,
    ),
    stderr: "",
  });

  await t.test("a release that changes what it got makes it stale; what it got stays proved", async (t) => {
    await c.publish(files(3));
    await eventually("the mount has followed", async () => (await mounted.status()).release === 3);
    const { stdout } = await c.icfs(["boots", "--stale", ...options]);
    t.match(stdout, `${MAC} ${MACHINE}, booted `);
    t.match(stdout, `: ${mounted.at("kernel")}\na reboot would change 1 of 1 machine`);
    t.match(await c.icfs(["explain", MACHINE, ...options]), { code: 0, stdout: /release 2 of/ });
  });

  await t.test("a ledger in which somebody has changed a hash", async (t) => {
    const forged = (await readFile(log, "utf8")).replaceAll(whole.at(-2)!.sha256!, "00".repeat(32));
    await writeFile(log, forged);
    t.match(await c.icfs(["boots", "--check", ...options]), {
      code: 1,
      stdout: `${log}:${whole.length}: the line before it is not the one that it was written after\n`,
      stderr: "the ledger is not as it was written",
    });
    t.match(await c.icfs(["explain", MAC, ...options]), {
      code: 1,
      stdout: /kernel, 2.0 kB, SHA-256 0{64}: the release has another one, of SHA-256/,
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
