/**
 * Machines boot from a canister's URL, without a mount. iPXE fetches a script, a kernel and an initrd through nginx, which caches them;
 * then from `icfs serve`, which reads them from a directory. The initrd is small, and prints that it has started. http.boot.ts boots the
 * Debian installer.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { reach } from "../../demo/boot.ts";
import { deploy, publish, startLocalnet } from "../../demo/icfs.ts";
import { BOOT_FAILURE, STAGES, startMachine } from "../../demo/machine.ts";
import { HOST_ADDRESS, makeNamespace } from "../../demo/namespace.ts";
import { Process, run } from "../../demo/process.ts";
import { debianTree } from "../../demo/tree.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { resolveNetwork, rootKeyOf } from "../../lib/ic/network.ts";
import { BIN } from "../support/icfs.ts";
import { stackOf } from "../support/stack.ts";
import { CANISTER, example, startHttpSite } from "./http-site.ts";
import { markerInitrd } from "./marker-initrd.ts";
import { reporting } from "./stages.ts";

/** Paths in the tree, in the order in which the machine asks for them. */
const KERNEL = "debian-installer/amd64/linux";
const INITRD = "debian-installer/amd64/initrd.gz";
const IMAGE = randomBytes(2_500_000);
const MARKER = "started from a canister's URL";
const [IPXE, , LINUX] = STAGES;
const INITRD_STAGE = { name: "initrd", pattern: new RegExp(`(${MARKER})`), seconds: 300 };

t.test(
  "iPXE boots from the canister, then offline from nginx, then from icfs serve",
  { timeout: 900_000 },
  async (t) => {
    const stack = stackOf(t);
    const { directory, env } = stack.use(await makeWorkspace("icfs-test"));
    const tree = join(directory, "tree");
    await mkdir(join(tree, "debian-installer/amd64"), { recursive: true });
    await copyFile(join(debianTree().directory, KERNEL), join(tree, KERNEL));
    await writeFile(join(tree, INITRD), markerInitrd(MARKER, 2_500_000));
    await copyFile(example("boot.ipxe"), join(tree, "boot.ipxe"));
    // The name must be percent-encoded in the redirect's URL.
    await writeFile(join(tree, "an image, 100%.efi"), IMAGE);
    await symlink("an image, 100%.efi", join(tree, "boot.efi"));
    const { localnet, url } = await startLocalnet({ env });
    stack.use(localnet);
    await deploy(CANISTER, url, { env });
    await publish(tree, CANISTER, url, { env });
    const namespace = stack.use(await makeNamespace(`icfs-http-${process.pid}`));
    const site = stack.use(await startHttpSite({ namespace, url, directory: join(directory, "site"), env }));

    const boot = async (t: Test) => {
      await using machine = startMachine(namespace, { env });
      await reach([IPXE!, LINUX!, INITRD_STAGE], machine, reporting(t), { refuse: BOOT_FAILURE });
    };
    await t.test("from the canister", boot);
    const asked = site.asked.map((request) => request.split(" ")[0]!);
    t.same(
      [...new Set(asked)],
      ["/.icfs/boot.ipxe", ...["boot.ipxe", KERNEL, INITRD].map((name) => `/.icfs/at/1/${name}`)],
      "every path after the script names the release by its number",
    );
    t.equal(new Set(site.asked).size, site.asked.length, "no request is sent to the canister twice");

    /** Fetches the image as firmware does, which follows no redirect. */
    const image = async (t: Test) => {
      const command = namespace.inside("curl", ["--silent", "--fail", `http://${HOST_ADDRESS}/boot.efi`]);
      const { stdout } = await promisify(execFile)(...command, {
        encoding: "buffer",
        maxBuffer: 2 * IMAGE.length,
      });
      t.ok(stdout.equals(IMAGE), `${stdout.length} bytes`);
    };
    await t.test("the firmware image in several pieces, from the canister", image);
    const mirror = join(directory, "mirror");
    await run(BIN, ["mirror", CANISTER, mirror, "--network", url], { env });
    const rootKey = Buffer.from(await rootKeyOf(resolveNetwork(url), undefined)).toString("hex");
    await site.cutOff();
    await localnet.stop();
    await t.test("from nginx, which has cached everything", boot);
    await t.test("the firmware image, from nginx", image);

    await site.nginx.stop();
    const args = ["--listen", `${HOST_ADDRESS}:80`, "--mirror", `file:${mirror}`, "--mirror-only"];
    // `icfs serve` starts without the cache and the state of this test's other commands.
    const own = {
      ...env,
      XDG_CACHE_HOME: join(directory, "cache-of-serve"),
      XDG_STATE_HOME: join(directory, "state-of-serve"),
    };
    const [nsenter, more] = namespace.inside(BIN, ["serve", CANISTER, ...args, "--root-key", rootKey]);
    const serve = stack.use(new Process(nsenter, more, own));
    await serve.until(/http:/, { seconds: 60 });
    await t.test("from icfs serve, which reads from a directory", boot);
    await t.test("the firmware image, from icfs serve", image);
  },
);
