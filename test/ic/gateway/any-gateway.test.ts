/** Answers that do not verify: another gateway is asked, the lying one is named, and no call is executed twice. */
import { Cbor } from "@icp-sdk/core/agent";
import t from "tap";
import { createAgent } from "../../../lib/ic/agent.ts";
import { queries, unverifiedCall } from "../../../lib/ic/canister-calls.ts";
import { VerificationError } from "../../../lib/ic/certificate/certificate.ts";
import { controllersOf } from "../../../lib/ic/controllers.ts";
import { gatewaysOf } from "../../../lib/ic/gateway/gateways.ts";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import { icfsCanister } from "../../../lib/icfs-canister.ts";
import { putArgument } from "../../../lib/publish/quick-put.ts";
import { openReader } from "../../../lib/source/icfs/open-release.ts";
import { exactly } from "../../support/exactly.ts";
import { type Fault, faultFor, startFaultProxy } from "../../support/fault-proxy.ts";
import { HUNG } from "../../support/icfs.ts";
import { startIcfsCanister, treeOf } from "../../support/icfs-canister.ts";

const c = await startIcfsCanister(t);
const { rootKey } = c.network;
const { manifest, chunks } = treeOf({ a: "some bytes" });
await c.owner.put(chunks);
await c.publish(manifest);
const liar = await startFaultProxy(t, c.network.url);
const honest = await startFaultProxy(t, c.network.url);

/** Both proxies as the gateways of one network. The liar is asked first, because the honest one has been wrong once as well. */
function asOneNetwork() {
  const network = resolveNetwork(`${honest.url},${liar.url}`);
  const gateways = gatewaysOf(network);
  gateways.wrong(honest.url, "some time ago");
  const agent = createAgent({
    network,
    rootKey,
    verifyQuerySignatures: true,
    requestTimeout: HUNG,
    identity: c.network.identity,
  });
  const reader = openReader({ network, rootKey, canister: c.id }, HUNG);
  const lied = () => gateways.health()[1]!;
  const told: string[] = [];
  gateways.tell = (event) => told.push(event);
  /** Whether the liar has been put aside at some time since. It may be only for a second. */
  const wasPutAside = () => told.some((event) => event.startsWith(`the gateway ${liar.url} is put aside: `));
  return { agent, gateways, reader, lied, wasPutAside };
}

t.afterEach(() => {
  for (const proxy of [liar, honest]) Object.assign(proxy, { fault: () => "none", everywhere: false });
});

const otherwise =
  (before: string, after: string): Fault =>
  (answer) => {
    answer.write(after, answer.indexOf(before));
    return answer;
  };

/** Spoils a signature, in a certificate or in its delegation. */
const otherSignature: Fault = (answer) => {
  answer[answer.indexOf("signature") + 30]! ^= 1;
  return answer;
};

/** Spoils what a canister has replied. */
const otherReply: Fault = (answer) => {
  answer[answer.indexOf("DIDL") + 4]! ^= 1;
  return answer;
};

t.test("wrong data that is certified or hashed is fetched from another gateway", async (t) => {
  const rejection = { status: "rejected", reject_code: 3, reject_message: "no such canister" };
  const faults: [name: string, method: string, fault: Fault, why: RegExp][] = [
    ["other bytes", "chunk", otherwise("some bytes", "SOME bytes"), /arrived with other bytes$/],
    ["a rejection", "chunk", () => Buffer.from(Cbor.encode(rejection)), /no such canister/],
    ["another signature", "release", otherSignature, /the certificate is refused/],
  ];
  for (const [name, method, fault, why] of faults) {
    const { reader, lied } = asOneNetwork();
    liar.fault = faultFor(method, () => fault);
    if (method === "chunk") {
      t.equal((await reader.chunk(manifest.chunks[0]!)).toString(), "some bytes", name);
    } else {
      t.equal((await reader.head())?.header.number, 1, name);
    }
    t.match(lied(), { wrong: 1, aside: { why } }, name);
  }
});

t.test("a gateway that lies once is counted as wrong, even when no other can be asked", async (t) => {
  const { reader, lied } = asOneNetwork();
  honest.down = true;
  let lies = 0;
  liar.fault = faultFor("chunk", () => (lies++ === 0 ? otherwise("some bytes", "SOME bytes") : "none"));
  t.equal((await reader.chunk(manifest.chunks[0]!)).toString(), "some bytes");
  honest.down = false;
  t.match(lied(), { wrong: 1, aside: { why: /arrived with other bytes$/ } });
});

t.test("when this host does not accept a head, it asks another gateway", async (t) => {
  const { reader, lied } = asOneNetwork();
  const numbers: (number | undefined)[] = [];
  const replayed = "an old answer is replayed";
  const head = await reader.head(async (one) => {
    numbers.push(one?.header.number);
    if (numbers.length === 1) throw new VerificationError(replayed);
  });
  t.equal(head?.header.number, 1);
  t.same(numbers, [1, 1], "a second gateway's head is looked at");
  t.match(lied(), { wrong: 1, aside: { why: `its answer was wrong: ${replayed}` } });
});

t.test("an answer that all gateways agree on puts none of them aside", async (t) => {
  const { reader, lied } = asOneNetwork();
  const nowhere = { ...manifest.chunks[0]!, sha256: Buffer.alloc(32) };
  await t.rejects(reader.chunk(nowhere), { message: /does not have chunk 0{64}/ });
  t.match(lied(), { answers: 1, wrong: 0, aside: undefined });
});

t.test("when all gateways lie, the error names them; when only one has answered, it does not", async (t) => {
  const lies = faultFor("chunk", () => otherwise("some bytes", "SOME bytes"));
  Object.assign(liar, { fault: lies });
  Object.assign(honest, { fault: lies });
  const chunk = manifest.chunks[0]!;
  await t.rejects(asOneNetwork().reader.chunk(chunk), {
    message: new RegExp(
      `arrived with other bytes \\(no answer of these gateways verifies: ${honest.url}, ${liar.url}\\)$`,
    ),
  });
  honest.down = true;
  await t.rejects(asOneNetwork().reader.chunk(chunk), { message: /arrived with other bytes$/ });
  honest.down = false;
});

t.test("a wrong signature of a node or a subnet is noticed, and another gateway is asked", async (t) => {
  const signed = asOneNetwork();
  liar.fault = faultFor("roles_granted", "flip");
  t.ok(await queries(signed.agent, c.id)("roles_granted", Buffer.from("4449444c0000", "hex")));
  t.match(signed.lied(), { wrong: 1 });

  const certified = asOneNetwork();
  Object.assign(liar, { everywhere: true });
  liar.fault = (path) => (path.endsWith("/read_state") ? otherSignature : "none");
  t.ok(await controllersOf(certified.agent, c.id, rootKey));
  t.match(certified.lied(), { wrong: 1 });
});

t.test("when two gateways each bring a part of a signed answer, only the liar is blamed", async (t) => {
  // At first both gateways are asked for everything at once: one of them gives the query's answer, and the other one the keys.
  for (const first of ["/query", "/read_state"]) {
    const network = resolveNetwork(`${liar.url},${honest.url}`);
    const agent = createAgent({ network, rootKey, verifyQuerySignatures: true, requestTimeout: HUNG });
    Object.assign(liar, { everywhere: true });
    Object.assign(honest, { everywhere: true });
    let [lies, waits] = [0, 0];
    const spoiled = first === "/query" ? otherReply : otherSignature;
    liar.fault = (path) => {
      if (path.endsWith(first)) {
        lies += 1;
        return spoiled;
      }
      return waits++ === 0 ? "silence" : "none";
    };
    honest.fault = (path) => (path.endsWith(first) && lies === 0 ? "silence" : "none");
    t.ok(await queries(agent, c.id)("roles_granted", Buffer.from("4449444c0000", "hex")), first);
    t.ok(lies > 0, `the liar answers ${first}`);
    t.match(gatewaysOf(network).health(), exactly({ wrong: 1 }, { wrong: 0 }), first);
  }
});

/** A gateway's answer that rejects a call (IC interface specification, "Request: Call"). Nobody signs it. */
function rejected(code: number, errorCode: string): Fault {
  const answer = {
    status: "non_replicated_rejection",
    reject_code: code,
    reject_message: "no",
    error_code: errorCode,
  };
  return () => Buffer.from(Cbor.encode(answer as never));
}
const notTaken = rejected(4, "IC0406");
const outOfCycles = rejected(2, "IC0207");

t.test("an unverified call also goes to the next gateway when one refuses it", async (t) => {
  for (const fault of [notTaken, outOfCycles, { status: 400 }]) {
    const { agent, wasPutAside } = asOneNetwork();
    liar.fault = (path) => (path.endsWith("/call") ? fault : "none");
    const answer = await unverifiedCall(agent, c.id, "put", putArgument([Buffer.from("more bytes")]));
    t.ok(answer.length > 0);
    t.ok(wasPutAside());
    honest.fault = liar.fault;
    await t.rejects(unverifiedCall(agent, c.id, "put", putArgument([])), "what all say holds");
    honest.fault = () => "none";
  }
});

t.test("a call goes to the next gateway as it was signed, and is executed once", async (t) => {
  const faults: [name: string, fault: Fault][] = [
    ["another signature", otherSignature],
    ["executed, and the answer lost", "lost"],
    ["a connection that ends", "drop"],
    ["too busy", { status: 503 }],
    ["not taken, by its own word", notTaken],
    ["out of cycles, by its own word", outOfCycles],
    ["refused", { status: 403 }],
  ];
  for (const [name, fault] of faults) {
    const { agent } = asOneNetwork();
    const calls: Buffer[] = [];
    const noting = (does: Fault) => (path: string, body: Buffer) => {
      if (!path.endsWith("/call")) return "none";
      calls.push(body);
      return does;
    };
    liar.fault = noting(fault);
    honest.fault = noting("none");
    const head = (await c.source.head())!;
    const result = await icfsCanister(agent, c.id).publish({
      manifest: [...head.header.manifest.chunks],
      parent: [head.hash],
      note: name,
    });
    const number = head.header.number + 1;
    t.same(result, { ok: BigInt(number) }, name);
    t.equal(calls.length, 2, `${name}: the call is sent to both gateways`);
    t.ok(calls[0]!.equals(calls[1]!), `${name}: both gateways get the same call`);
    t.equal((await c.source.head())!.header.number, number, `${name}: the call is executed once`);
  }
});

t.test("a call that no gateway takes at first is sent again, and executed once", async (t) => {
  const { agent } = asOneNetwork();
  let refusals = 0;
  const notThere = (path: string) =>
    path.endsWith("/call") ? ({ status: 400, body: "canister_not_found" } as const) : "none";
  liar.fault = notThere;
  honest.fault = (path) => (path.endsWith("/call") && refusals++ < 1 ? notThere(path) : "none");
  const head = (await c.source.head())!;
  const result = await icfsCanister(agent, c.id).publish({
    manifest: [...head.header.manifest.chunks],
    parent: [head.hash],
    note: "at last",
  });
  const number = head.header.number + 1;
  t.same(result, { ok: BigInt(number) });
  t.ok(refusals > 1, "the call is refused at first");
  t.equal((await c.source.head())!.header.number, number);
});
