/** The canister says who may publish. If it says nothing, that is not a refusal. */
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import t from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { checkMayPublish } from "../../lib/publish/permission.ts";
import { startCanister } from "../support/canister-network.ts";
import { faultFor, startFaultProxy } from "../support/fault-proxy.ts";

const c = await startCanister(t);
const proxy = await startFaultProxy(t, c.url);
const owner = icfsCanister(c.publisherAgent, c.canister);
const agentOf = (identity?: Ed25519KeyIdentity) =>
  createAgent({
    network: resolveNetwork(proxy.url),
    rootKey: c.rootKey,
    verifyQuerySignatures: true,
    requestTimeout: 60_000,
    ...(identity && { identity }),
  });
const ann = Ed25519KeyIdentity.generate();
const refused = {
  name: "UserError",
  message: new RegExp(
    `^${ann.getPrincipal()} may not publish on ${c.canister}: give a publisher's or an owner's key`,
  ),
};

t.test("owners and publishers can publish, readers and others cannot", async (t) => {
  await checkMayPublish(c.publisherAgent, c.canister);
  await t.rejects(checkMayPublish(agentOf(ann), c.canister), refused);
  await owner.grant(ann.getPrincipal(), { reader: null });
  await t.rejects(checkMayPublish(agentOf(ann), c.canister), refused);
  await owner.grant(ann.getPrincipal(), { publisher: null });
  await checkMayPublish(agentOf(ann), c.canister);
  await owner.revoke(ann.getPrincipal());
});

t.test("the check waits for a role that is just being granted", async () => {
  const checked = checkMayPublish(agentOf(ann), c.canister);
  checked.catch(() => {});
  await owner.grant(ann.getPrincipal(), { publisher: null });
  await checked;
  await owner.revoke(ann.getPrincipal());
});

t.test("no answer about roles is not a refusal: the canister checks them itself", async () => {
  for (const method of ["roles_granted", "status"]) {
    proxy.fault = faultFor(method, "drop");
    await checkMayPublish(agentOf(ann), c.canister);
  }
  proxy.fault = () => "none";
});
