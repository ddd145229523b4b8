/** What the check of a canister's Wasm module reports. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import t from "tap";
import { module } from "../../lib/doctor/module.ts";
import { startCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";
import { startIcboot } from "../support/icboot.ts";
import { reinstall, setFreezingThreshold } from "../support/management.ts";

const WASM = await readFile(new URL("../../build/icfs.wasm", import.meta.url));
const VERSION = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")).version;
const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

t.test("icfs's Wasm, another Wasm, and a canister of another kind", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const look = async () =>
    module.run(await hostWith(t, {}, { network: c.network, canister: { canister: c.canister } }));
  const ours = [
    { level: "ok", message: `${id} runs the Wasm of icfs ${VERSION}, module hash ${hash(WASM)}` },
  ];
  t.same(await look(), ours, "the module is recognised before the first release");
  await setFreezingThreshold(c.publisherAgent, c.canister, 1n << 60n);
  t.same(await look(), ours, "the module is recognised while the canister is frozen");
  await setFreezingThreshold(c.publisherAgent, c.canister, 1n);

  // One more custom section makes another module of the same program.
  const other = Buffer.concat([WASM, Buffer.from([0, 2, 1, 0x78])]);
  await reinstall(c.publisherAgent, c.canister, other);
  t.match(
    await look(),
    exactly({
      level: "warn",
      message: `${id} runs another Wasm than that of icfs ${VERSION}: module hash ${hash(other)}, and not ${hash(WASM)}`,
      advice: `a controller brings it to this version with \`icfs deploy ${id}\``,
    }),
  );
  t.same(
    await module.run(await hostWith(t, {}, { network: c.network })),
    [],
    "nothing is reported when no canister is named",
  );

  const icboot = await startIcboot(t);
  const host = await hostWith(t, {}, { network: icboot.network, canister: { canister: icboot.canister } });
  t.same(await module.run(host), [], "a canister of another kind is not checked");
});
