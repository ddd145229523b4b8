/** QEMU's own TFTP server, with no other server and no network at all, boots a machine from a mount. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { reach } from "../../demo/boot.ts";
import { mount } from "../../demo/icfs.ts";
import { STAGES } from "../../demo/machine.ts";
import { Process, run } from "../../demo/process.ts";
import { documented } from "../support/documented.ts";
import { BIN } from "../support/icfs.ts";
import { publishTree } from "./published-tree.ts";
import { reporting } from "./stages.ts";

/** What a boot reads at least: the kernel and the initrd. */
const BOOT_BYTES = 40_000_000;

t.test("from -netdev user,tftp=MOUNT to the installer's first screen", { timeout: 600_000 }, async (t) => {
  const { directory, env, tree, canister, url, stack } = await publishTree(t);
  const root = join(directory, "mnt");
  await mkdir(root);
  stack.use(await mount(canister, root, url, { env }));

  // QEMU's network is within QEMU: around it is none, and `restrict` lets the machine out to none. Its own emulation works everywhere.
  const place = {
    inside: (command: string, args: string[]): [string, string[]] => [
      "unshare",
      ["--net", "--", command, ...args],
    ],
  };
  const began = performance.now();
  const command = (await documented("OPERATIONS.md", "Try it without a server"))
    .replace("/srv/tftp", root)
    .replace("-x86_64", "-x86_64 -accel tcg");
  const machine = stack.use(new Process(...place.inside("sh", ["-c", command]), env));
  await reach(STAGES, machine, reporting(t));
  t.comment(`${((performance.now() - began) / 1000).toFixed(1)} s from switching on to the installer`);
  await machine.stop();

  const [status] = JSON.parse(await run(BIN, ["status", root, "--json"], { env }));
  t.ok(status.readers.bytes > BOOT_BYTES, "the kernel and the initrd came through the mount");
  t.equal(status.readers.errors, 0);
  await t.resolves(
    run("diff", ["-r", "--no-dereference", tree, root], { seconds: 120 }),
    "which has the tree as it was",
  );
});
