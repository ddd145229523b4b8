/** A machine boots from the original's canister, under its id: published to, mounted, and served by stock dnsmasq. */
import t from "tap";
import { publish } from "../../demo/icfs.ts";
import { run } from "../../demo/process.ts";
import { icbootWasm } from "../support/icboot.ts";
import { bootFrom } from "./other-canisters.ts";

t.test("from icfs publish to the installer's first screen", { timeout: 600_000 }, async (t) => {
  await bootFrom(t, "icboot", icbootWasm(), async ({ tree, flat, canister, url, env }) => {
    const { files } = await publish(tree, canister, url, { env });
    const expected = await run("find", [flat, "-type", "f"]);
    t.equal(files, expected.trim().split("\n").length, "each file under each of its names");
  });
});
