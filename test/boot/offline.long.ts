/** Without the network: a host that has had a release once boots machines from it while the Internet Computer is away. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { boot } from "../../demo/boot.ts";
import { deploy, mount, mountLog, publish, startLocalnet } from "../../demo/icfs.ts";
import { run } from "../../demo/process.ts";
import { makeTree } from "../../demo/tree.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { BIN } from "../support/icfs.ts";
import { reporting } from "./stages.ts";

const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

t.test("from mount to installer, with a warm cache and no network", { timeout: 600_000 }, async (t) => {
  await using stack = new AsyncDisposableStack();
  const { directory, env } = stack.use(await makeWorkspace("icfs-test"));
  const tree = join(directory, "tree");
  const mountpoint = join(directory, "mnt");
  await makeTree(tree);
  await mkdir(mountpoint);

  const { localnet, url } = await startLocalnet({ env });
  stack.use(localnet);
  await deploy(CANISTER, url, { env });
  await publish(tree, CANISTER, url, { env });
  await (await mount(CANISTER, mountpoint, url, { env }, ["--ready", "hydrated"])).end();
  await localnet.stop();

  const mounted = stack.use(await mount(CANISTER, mountpoint, url, { env }));
  t.match(
    await readFile(mountLog(mountpoint), "utf8"),
    /mounted from what was kept on this host, certified .* ago/,
  );
  const [status] = JSON.parse(await run(BIN, ["status", mountpoint, "--json"], { env }));
  t.match(status, { release: 1, warning: /kept on this host/, mountpoint });
  const { bytes } = await boot(mountpoint, {
    namespace: `icfs-test-${process.pid}`,
    stage: reporting(t),
    env,
  });
  t.ok(bytes > 40_000_000, "the kernel and the initrd went through the mount");
  const { chunksVerified } = await mounted.end();
  t.equal(chunksVerified, 0, "nothing came from the network");
});
