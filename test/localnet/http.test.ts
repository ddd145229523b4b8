/** The local network's endpoints: versions, limits and errors. Signatures are tested in ingress.test.ts, certificates in certification.test.ts. */
import * as cbor from "@dfinity/cbor";
import { HttpAgent } from "@icp-sdk/core/agent";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { certifiedAt } from "../../lib/ic/read-state.ts";
import { startLocalNetwork } from "../../localnet/index.ts";
import { exactly } from "../support/exactly.ts";
import { assemble, TINY } from "./assemble.ts";
import { anonymous, inMinutes, requestsTo, signed } from "./requests.ts";
import { agentFor, deploy, management, NO_ARGUMENT, owner, startNetwork } from "./setup.ts";

const network = await startNetwork(t);
const agent = await agentFor(network);
const id = await deploy(agent, TINY);
const { bumps, callContent, pathOf, post } = requestsTo(network, agent, id);

t.test("status", async (t) => {
  const response = await fetch(`${network.url}/api/v2/status`);
  t.equal(response.headers.get("content-type"), "application/cbor");
  const status = cbor.decode(new Uint8Array(await response.arrayBuffer())) as { root_key: Uint8Array };
  t.same(status.root_key, network.rootKey);
  const fetching = await HttpAgent.create({ host: network.url, shouldFetchRootKey: true });
  t.same(fetching.rootKey, network.rootKey);
});

t.test("every version of the endpoints", async (t) => {
  const before = await bumps();
  for (const version of [2, 3]) {
    const query = await post(
      pathOf(version, "query"),
      anonymous(callContent("peek", { request_type: "query" })),
    );
    t.match(query.body, { status: "replied", signatures: exactly({ identity: Uint8Array }) });
    const paths = [[new Uint8Array(Buffer.from("time"))]];
    const content = { request_type: "read_state", paths, ingress_expiry: inMinutes(3) };
    for (const where of [`canister/${id.toText()}`, "subnet/aaaaa-aa"]) {
      const read = await post(`/api/v${version}/${where}/read_state`, anonymous(content));
      t.ok(read.body.certificate instanceof Uint8Array, `${where}, version ${version}`);
    }
  }
  const asynchronous = await post(
    pathOf(2, "call"),
    anonymous(callContent("bump", { nonce: Uint8Array.of(1) })),
  );
  t.equal(asynchronous.status, 202);
  for (const version of [3, 4]) {
    const nonce = Uint8Array.of(version);
    const call = await post(pathOf(version, "call"), anonymous(callContent("bump", { nonce })));
    t.equal(call.body.status, "replied");
  }
  t.equal(await bumps(), before + 3);
});

t.test("only old endpoints, and only new ones", async (t) => {
  const statuses = async (api: "old" | "new") => {
    const { url } = await startNetwork(t, { api });
    const found = [];
    for (const where of [
      "2/query",
      "3/query",
      "2/read_state",
      "3/read_state",
      "2/call",
      "3/call",
      "4/call",
    ]) {
      const [version, endpoint] = where.split("/");
      const path = `${url}/api/v${version}/canister/${id.toText()}/${endpoint}`;
      // An invalid request: any endpoint that exists answers it with 400.
      const { status } = await fetch(path, { method: "POST", body: Uint8Array.of(0) });
      if (status === 400) found.push(where);
      else t.equal(status, 404, where);
    }
    return found;
  };
  t.same(await statuses("old"), ["2/query", "2/read_state", "2/call", "3/call"]);
  t.same(await statuses("new"), ["3/query", "3/read_state", "2/call", "4/call"]);
});

t.test("@icp-sdk/core passes all its checks on the new endpoints alone", async (t) => {
  const { url, rootKey } = await startNetwork(t, { api: "new" });
  const identity = Ed25519KeyIdentity.generate();
  const agent = HttpAgent.createSync({ host: url, rootKey, identity, retryTimes: 0 });
  const counted = "lxzze-o7777-77777-aaaaa-cai";
  // The well-known ids are in another shard than the ids that are counted up.
  for (const [index, effective] of [counted, "rwlgt-iiaaa-aaaaa-aaaaa-cai"].entries()) {
    const ic = management(agent, effective);
    const specified_id = index === 0 ? [] : [Principal.fromText(effective)];
    const made = await ic.provisional_create_canister_with_cycles!({
      amount: [],
      settings: [],
      specified_id,
    });
    const canister_id = made.canister_id as Principal;
    t.equal(canister_id.toText(), effective);
    await ic.install_code!({ mode: { install: null }, canister_id, wasm_module: TINY, arg: NO_ARGUMENT });
    const reply = await agent.query(canister_id, { methodName: "peek", arg: NO_ARGUMENT });
    t.match(reply, { status: "replied" }, "the query is answered with a valid node signature");
    const { response } = await agent.call(canister_id, { methodName: "bump", arg: NO_ARGUMENT });
    t.equal(response.status, 200);
    t.ok((await agent.getSubnetIdFromCanister(canister_id)).toText());
  }
  const old = await startNetwork(t, { api: "old" });
  const asked = (await agentFor(old)).query(id, { methodName: "peek", arg: NO_ARGUMENT });
  await t.rejects(asked, /404/, "the agent gets 404 from a network that has only the old endpoints");
});

t.test("unknown endpoints and unreadable requests are refused", async (t) => {
  t.equal((await post("/api/v5/canister/aaaaa-aa/query", new Uint8Array())).status, 404);
  t.equal((await post(pathOf(4, "query"), new Uint8Array())).status, 404);
  t.equal((await post("/api/v2/canister/nonsense/query", new Uint8Array())).status, 400);
  t.equal((await post(pathOf(2, "query"), Uint8Array.of(0xff, 0x00))).status, 400);
  t.equal((await post(pathOf(2, "query"), cbor.encode({ content: 1 }))).status, 400);
  t.equal((await fetch(network.url + pathOf(2, "query"))).status, 405);
  const misaddressed = anonymous(
    callContent("bump", { canister_id: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 9, 1, 1]) }),
  );
  t.match(await post(pathOf(2, "call"), misaddressed), { status: 400, text: /Effective canister id/ });
});

t.test("pre-consensus rejects", async (t) => {
  for (const version of [2, 3, 4]) {
    const { body } = await post(pathOf(version, "call"), anonymous(callContent("nothing")));
    t.match(body, {
      status: "non_replicated_rejection",
      reject_code: 5,
      error_code: "IC0536",
      reject_message: String,
    });
  }
});

t.test("a repeated request runs only once", async (t) => {
  const before = await bumps();
  const body = await signed(callContent("bump", { nonce: Uint8Array.of(9) }));
  const answers = await Promise.all([2, 3, 4, 3].map((version) => post(pathOf(version, "call"), body)));
  t.same(
    answers.map(({ status }) => status),
    [202, 200, 200, 200],
  );
  t.equal(
    (await post(pathOf(3, "call"), body)).body.status,
    "replied",
    "a repeat after completion gets the reply as well",
  );
  t.equal(await bumps(), before + 1);
});

t.test("ingress of more than 2 MiB is refused", async (t) => {
  const before = await bumps();
  const large = callContent("bump", { arg: new Uint8Array(2 * 1024 * 1024) });
  t.match(await post(pathOf(3, "call"), await signed(large)), {
    status: 413,
    text: /exceeds limit of 2097152/,
  });
  const huge = callContent("bump", { arg: new Uint8Array(20 * 1024 * 1024) });
  t.match(await post(pathOf(3, "call"), await signed(huge)), { status: 413 });
  t.match(await post(pathOf(3, "query"), anonymous(huge)), {
    status: 413,
    text: /exceeds limit of 5242880/,
  });
  t.equal(await bumps(), before);
  const fits = callContent("bump", { arg: new Uint8Array(2 * 1024 * 1024 - 1024) });
  t.equal((await post(pathOf(3, "call"), await signed(fits))).status, 200);
});

t.test("a network clock that is ten minutes slow causes a clock error", async (t) => {
  const late = await startNetwork(t, { timeOffset: -10 * 60_000 });
  // With icfs's agent: core's own asks for the time again and again, without end.
  const hurried = createAgent({
    network: resolveNetwork(late.url),
    rootKey: late.rootKey,
    identity: owner,
    verifyQuerySignatures: true,
    requestTimeout: 60_000,
  });
  const state = certifiedAt(hurried, id, ["controllers"], async (certificate) => certificate);
  await t.rejects(
    state,
    { name: "ClockError" },
    "requests from a correct clock expire too late for a slow network",
  );
});

t.test("weather changes only the timing", async (t) => {
  const far = await startNetwork(t, { latency: 4, bandwidth: 20, updateLatency: 3 });
  const agent = await agentFor(far);
  const id = await deploy(agent, TINY);
  const { response } = await agent.call(id, { methodName: "bump", arg: new Uint8Array(300_000) });
  t.equal(response.status, 200);
  t.match(await agent.query(id, { methodName: "peek", arg: NO_ARGUMENT }), { status: "replied" });
});

t.test("invalid options are refused", async (t) => {
  await t.rejects(startLocalNetwork({ port: -1 }), /port must be 0 to 65535/);
  await t.rejects(startLocalNetwork({ port: 70000 }), /port must be 0 to 65535/);
  await t.rejects(startLocalNetwork({ port: 0, latency: -1 }), /latency/);
  await t.rejects(startLocalNetwork({ port: 0, bandwidth: 0 }), /bandwidth/);
  await t.rejects(startLocalNetwork({ port: 0, updateLatency: Number.NaN }), /update latency/);
  const port = Number(new URL(network.url).port);
  await t.rejects(startLocalNetwork({ port }), new RegExp(`port ${port} is in use .* give another port`));
});

t.test("closing the network ends running calls", async (t) => {
  const doomed = await startLocalNetwork({ port: 0 });
  const agent = await agentFor(doomed);
  const id = await deploy(agent, TINY);
  const stuck = assemble({
    imports: [],
    functions: [{ name: "canister_init", body: [0x03, 0x40, 0x0c, 0, 0x0b] }],
  });
  const spin = () => t.rejects(agent.call(id, { methodName: "spin", arg: NO_ARGUMENT }));
  const failed = Promise.all([spin(), spin(), spin(), t.rejects(deploy(agent, stuck))]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await doomed.close();
  await failed;
  await t.rejects(fetch(`${doomed.url}/api/v2/status`));
});
