/** Which signed requests the local network accepts. */
import * as cbor from "@dfinity/cbor";
import type { SignIdentity } from "@icp-sdk/core/agent";
import {
  DelegationChain,
  DelegationIdentity,
  ECDSAKeyIdentity,
  Ed25519KeyIdentity,
} from "@icp-sdk/core/identity";
import { Secp256k1KeyIdentity } from "@icp-sdk/core/identity/secp256k1";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { TINY } from "./assemble.ts";
import { anonymous, type Content, inMinutes, requestsTo, signed } from "./requests.ts";
import { agentFor, deploy, NO_ARGUMENT, owner, startNetwork, stranger } from "./setup.ts";

const network = await startNetwork(t);
const agent = await agentFor(network);
const id = await deploy(agent, TINY);
const { bumps, callContent, pathOf, post } = requestsTo(network, agent, id);

t.test("requests expire", async (t) => {
  const before = await bumps();
  for (const minutes of [-1, 10]) {
    const call = await signed(callContent("bump", { ingress_expiry: inMinutes(minutes) }));
    const { status, text } = await post(pathOf(3, "call"), call);
    t.equal(status, 400);
    t.ok(text.startsWith("Invalid request expiry: "), text);
    const query = callContent("peek", { request_type: "query", ingress_expiry: inMinutes(minutes) });
    t.equal((await post(pathOf(2, "query"), await signed(query))).status, 400);
    t.equal(
      (await post(pathOf(2, "query"), anonymous(query))).status,
      200,
      "anonymous queries do not expire",
    );
  }
  t.equal(await bumps(), before);
});

t.test("requests with malformed fields are refused", async (t) => {
  const key = { sender_pubkey: owner.getPublicKey().toDer(), sender_sig: new Uint8Array(64) };
  const delegated = (chain: unknown) => ({ content: callContent("bump"), ...key, sender_delegation: chain });
  for (const [envelope, text] of [
    [{ content: callContent("bump", { ingress_expiry: "soon" }), ...key }, /ingress_expiry is not a number/],
    [{ content: callContent("bump", { nonce: -1 }), ...key }, /a negative number/],
    [delegated([null]), /sender_delegation is not a map/],
    [delegated([{ signature: key.sender_sig }]), /delegation is not a map/],
    [delegated([{ delegation: { pubkey: key.sender_pubkey } }]), /expiration is not a number/],
  ] as const) {
    const body = cbor.encodeWithSelfDescribedTag(envelope as Parameters<typeof cbor.encode>[0]);
    t.match(await post(pathOf(2, "call"), body), { status: 400, text });
  }
});

t.test("signatures", async (t) => {
  const before = await bumps();
  const content = callContent("bump");
  const good = cbor.decode(await signed(content)) as Content;
  const signature = good.sender_sig as Uint8Array;
  const cases: [string, Content][] = [
    [
      "a signature of something else",
      { sender_sig: signature.map((byte, index) => (index === 9 ? byte ^ 1 : byte)) },
    ],
    ["none", { sender_sig: undefined, sender_pubkey: undefined }],
    ["another's key", { sender_pubkey: stranger.getPublicKey().toDer() }],
    ["no key", { sender_pubkey: Uint8Array.of(1, 2, 3) }],
    ["changed content", { content: { ...content, method_name: "stable" } }],
    ["signed, but anonymous", { content: { ...content, sender: Uint8Array.of(4) } }],
  ];
  for (const [name, change] of cases) {
    const envelope = Object.fromEntries(
      Object.entries({ ...good, ...change }).filter(([, value]) => value !== undefined),
    );
    t.equal((await post(pathOf(3, "call"), cbor.encode(envelope))).status, 400, name);
  }
  t.equal(await bumps(), before);
});

t.test("kinds of keys", async (t) => {
  const identities: [string, SignIdentity][] = [
    ["Ed25519", Ed25519KeyIdentity.generate()],
    ["secp256k1", Secp256k1KeyIdentity.generate()],
    ["P-256", await ECDSAKeyIdentity.generate()],
  ];
  for (const [name, identity] of identities) {
    const { response } = await (await agentFor(network, identity)).call(id, {
      methodName: "caller",
      arg: NO_ARGUMENT,
    });
    t.equal(response.status, 200, name);
  }
});

t.test("delegations", async (t) => {
  const session = Ed25519KeyIdentity.generate();
  const call = async (expires: number, targets?: Principal[]) => {
    const until = new Date(Date.now() + expires);
    const chain = await DelegationChain.create(owner, session.getPublicKey(), until, targets && { targets });
    const agent = await agentFor(network, DelegationIdentity.fromDelegation(session, chain));
    return (await agent.call(id, { methodName: "caller", arg: NO_ARGUMENT })).response.status;
  };
  t.equal(await call(60_000), 200);
  t.equal(await call(60_000, [id]), 200);
  await t.rejects(call(-1000), /expired/);
  await t.rejects(call(60_000, [Principal.managementCanister()]), /not one of the delegation targets/);
});
