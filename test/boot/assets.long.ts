/** A machine boots from a standard asset canister, filled as its own tools do, mounted, and served by stock dnsmasq. */
import { glob, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Principal } from "@dfinity/principal";
import t from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { loadIdentity } from "../../lib/ic/identity.ts";
import { resolveNetwork, rootKeyOf } from "../../lib/ic/network.ts";
import { assetsActor, assetsWasm, filling } from "../support/assets.ts";
import { bootFrom } from "./other-canisters.ts";

/** Larger ones go up in chunks. */
const SMALL_BYTES = 500_000;

t.test("from a filled canister to the installer's first screen", { timeout: 600_000 }, async (t) => {
  await bootFrom(t, "assets", assetsWasm(), async ({ flat, canister, url, env }) => {
    const network = resolveNetwork(url);
    const agent = createAgent({
      network,
      rootKey: await rootKeyOf(network, undefined),
      // Who has deployed it may write to it.
      identity: loadIdentity(join(env.XDG_CONFIG_HOME!, "icfs", "identity.pem")),
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
});
