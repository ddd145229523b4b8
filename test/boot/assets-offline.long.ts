/**
 * Stock dnsmasq boots machines from a standard asset canister that the host has mounted once, while the Internet Computer cannot be
 * reached. The canister is filled in the way of its own tools.
 */
import { glob, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { boot } from "../../demo/boot.ts";
import { mount, mountLog } from "../../demo/icfs.ts";
import { run } from "../../demo/process.ts";
import { createAgent } from "../../lib/ic/agent.ts";
import { loadIdentity } from "../../lib/ic/identity/identity.ts";
import { resolveNetwork, rootKeyOf } from "../../lib/ic/network.ts";
import { assetsActor, assetsWasm, filling } from "../support/assets.ts";
import { BIN } from "../support/icfs.ts";
import { startOtherCanister } from "./other-canisters.ts";
import { reporting } from "./stages.ts";

/** Larger files are uploaded in chunks. */
const SMALL_BYTES = 500_000;

t.test(
  "a machine boots offline from a mounted asset canister to the installer's first screen",
  { timeout: 600_000 },
  async (t) => {
    const filled = await startOtherCanister(t, assetsWasm(), async ({ flat, canister, url, env }) => {
      const network = resolveNetwork(url);
      const agent = createAgent({
        network,
        rootKey: await rootKeyOf(network, undefined),
        // The identity that deployed the canister may write to it.
        identity: await loadIdentity(join(env.XDG_CONFIG_HOME!, "icfs", "identity.pem")),
        requestTimeout: 60_000,
        verifyQuerySignatures: true,
      });
      const { store, storeAll } = filling(assetsActor(agent, Principal.fromText(canister)));
      const small: [key: string, content: Uint8Array][] = [];
      for await (const name of glob("**", { cwd: flat })) {
        const path = join(flat, name);
        const stats = await stat(path);
        if (!stats.isFile()) continue;
        if (stats.size < SMALL_BYTES) small.push([`/${name}`, await readFile(path)]);
        else await store(`/${name}`, await readFile(path));
      }
      await storeAll(small);
    });
    const { canister, flat, mountpoint, url, env, localnet, stack } = filled;
    await (await mount(canister, mountpoint, url, { env }, ["--ready", "hydrated"])).end();
    await localnet.stop();

    const mounted = stack.use(await mount(canister, mountpoint, url, { env }));
    t.match(
      await readFile(mountLog(mountpoint), "utf8"),
      /serves what was kept on this host, certified .* ago/,
    );
    const [status] = JSON.parse(await run(BIN, ["status", mountpoint, "--json"], { env }));
    t.match(status, { source: "assets", warning: /kept on this host/, mountpoint });
    const namespace = `icfs-test-${process.pid}`;
    const { names, bytes } = await boot(mountpoint, { namespace, stage: reporting(t), env });
    t.ok(bytes > 40_000_000, "the kernel and the initrd went through the mount");
    t.ok(
      names.includes("pxelinux.0") && names.includes("pxelinux.cfg/default"),
      "the machine fetches the files that are links in Debian's tree",
    );
    await t.resolves(
      run("diff", ["-r", flat, mountpoint], { seconds: 120 }),
      "the mount has the same files as the uploaded tree",
    );
    const { chunksVerified } = await mounted.end();
    t.equal(chunksVerified, 0, "nothing is fetched from the network");
  },
);
