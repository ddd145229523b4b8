/**
 * `icfs publish` and `icfs mount` work with the original's canister, and QEMU's own TFTP server boots a machine from the mount, with no
 * other server and no network.
 */
import t from "tap";
import { reach } from "../../demo/boot.ts";
import { mount, publish } from "../../demo/icfs.ts";
import { STAGES } from "../../demo/machine.ts";
import { Process, run } from "../../demo/process.ts";
import { documented } from "../support/documented.ts";
import { icbootWasm } from "../support/icboot.ts";
import { BIN } from "../support/icfs.ts";
import { startOtherCanister } from "./other-canisters.ts";
import { reporting } from "./stages.ts";

/** A boot reads at least this much: the kernel and the initrd. */
const BOOT_BYTES = 40_000_000;

t.test(
  "QEMU boots a tree published to an icboot canister, up to the kernel",
  { timeout: 600_000 },
  async (t) => {
    const published = await startOtherCanister(
      t,
      icbootWasm(),
      async ({ tree, flat, canister, url, env }) => {
        const { files } = await publish(tree, canister, url, { env });
        const expected = await run("find", [flat, "-type", "f"]);
        t.equal(files, expected.trim().split("\n").length, "each file is published under each of its names");
      },
    );
    const { canister, flat, mountpoint, url, env, stack } = published;
    stack.use(await mount(canister, mountpoint, url, { env }));

    // QEMU contains the machine's network, so QEMU itself runs without one. Its emulation (TCG) works on every host.
    const place = {
      inside: (command: string, args: string[]): [string, string[]] => [
        "unshare",
        ["--net", "--", command, ...args],
      ],
    };
    const command = (await documented("BOOT.md", "Try it without a server"))
      .replace("/srv/tftp", mountpoint)
      .replace("-x86_64", "-x86_64 -accel tcg");
    const machine = stack.use(new Process(...place.inside("sh", ["-c", command]), env));
    // At this stage PXELINUX has also fetched the initrd. libvirt.long.ts shows the rest of the boot.
    await reach(STAGES.slice(0, 3), machine, reporting(t));
    await machine.stop();

    const [status] = JSON.parse(await run(BIN, ["status", mountpoint, "--json"], { env }));
    t.match(status, { source: "icboot", mountpoint });
    t.ok(status.readers.bytes > BOOT_BYTES, "the kernel and the initrd came through the mount");
    t.equal(status.readers.errors, 0);
    await t.resolves(
      run("diff", ["-r", flat, mountpoint], { seconds: 120 }),
      "the mount has the same files as the published tree",
    );
  },
);
