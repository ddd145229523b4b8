/** Whether an icfs canister's cycles last for a while: a frozen canister does not answer. */
import { certifiedLeft, describeLeft, estimateLeft, FEW_DAYS } from "../cycles-left.ts";
import { createAgent } from "../ic/agent.ts";
import { howToTopUp } from "../ic/agent-error.ts";
import { rootKeyOf } from "../ic/network.ts";
import { icfsCanister } from "../icfs-canister.ts";
import { type Check, ok, warn } from "./check.ts";

/** Milliseconds: two requests, one after the other, and somebody waits for both. */
const REQUEST_TIMEOUT_MS = 5000;

export const cycles: Check = {
  name: "cycles",
  async run({ network, rootKey: given, identity, canister: asked }) {
    if (asked === undefined) return [];
    const { canister } = asked;
    const agent = createAgent({
      network,
      rootKey: await rootKeyOf(network, given),
      ...(identity === undefined ? {} : { identity }),
      verifyQuerySignatures: true,
      requestTimeout: REQUEST_TIMEOUT_MS,
    });
    // Without a controller's key, and for private, frozen, and other canisters, there are no figures: another check says why.
    const left =
      (identity && (await certifiedLeft(agent, canister).catch(() => undefined))) ??
      (await icfsCanister(agent, canister)
        .status()
        .then(estimateLeft, () => undefined));
    if (left === undefined) return [];
    const message = `${canister} has ${describeLeft(left)}`;
    if (left.days >= FEW_DAYS) return [ok(message)];
    return [warn(message, `top it up, as anybody may: ${howToTopUp({ agent, canister })}`)];
  },
};
