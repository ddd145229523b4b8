/** Whether an icfs canister runs the Wasm that comes with this icfs. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { messageOf } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import { moduleHashOf } from "../ic/module-hash.ts";
import { rootKeyOf } from "../ic/network.ts";
import { packageFile } from "../package-files.ts";
import { detectSource } from "../source/detect.ts";
import { type Check, ok, warn } from "./check.ts";

/** Milliseconds: two requests, one after the other, and somebody waits for both. */
const REQUEST_TIMEOUT_MS = 5000;

/** Only for icfs canisters, since others run other programs. This also works for a frozen or private one. */
export const module: Check = {
  name: "module",
  async run({ network, rootKey: given, identity, canister: asked }) {
    if (asked === undefined) return [];
    const rootKey = await rootKeyOf(network, given);
    const address = { network, rootKey, ...asked, ...(identity === undefined ? {} : { identity }) };
    const agent = createAgent({
      ...address,
      verifyQuerySignatures: true,
      requestTimeout: REQUEST_TIMEOUT_MS,
    });
    // If its kind is unknown, another check says why.
    const kind = await detectSource(address, REQUEST_TIMEOUT_MS).catch(() => undefined);
    if (kind !== "icfs") return [];
    const { canister } = asked;
    const [hash, packaged] = await Promise.all([moduleHashOf(agent, canister, rootKey), packagedModule()]);
    const runs = Buffer.from(hash).toString("hex");
    if (packaged.problem !== undefined) {
      return [warn(`${canister} runs ${runs}, and ${packaged.problem}`, "run `make canister` to compare")];
    }
    if (runs === packaged.hash) {
      return [ok(`${canister} runs the Wasm of icfs ${packaged.version}, module hash ${runs}`)];
    }
    return [
      warn(
        `${canister} runs another Wasm than that of icfs ${packaged.version}: module hash ${runs}, and not ${packaged.hash}`,
        `a controller brings it to this version with \`icfs deploy ${canister}\`; docs/PUBLISH.md ("Keys and roles") says how to find out which version, or whose, it is`,
      ),
    ];
  },
};

/** The Wasm that comes with icfs; in a checkout it may not have been built. */
async function packagedModule(): Promise<
  | { readonly hash: string; readonly version: string; readonly problem?: undefined }
  | { readonly problem: string }
> {
  try {
    const wasm = await readFile(packageFile("build/icfs.wasm"));
    const { version } = JSON.parse(await readFile(packageFile("package.json"), "utf8"));
    return { hash: createHash("sha256").update(wasm).digest("hex"), version };
  } catch (error) {
    return { problem: `there is none here to compare it with (${messageOf(error)})` };
  }
}
