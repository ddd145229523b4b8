import * as cbor from "@dfinity/cbor";
import {
  type Cert,
  Certificate,
  flatten_forks,
  type HashTree,
  HttpAgent,
  IC_REQUEST_DOMAIN_SEPARATOR,
  lookup_subtree,
  requestIdOf,
  type SignIdentity,
} from "@icp-sdk/core/agent";
import {
  DelegationChain,
  DelegationIdentity,
  ECDSAKeyIdentity,
  Ed25519KeyIdentity,
} from "@icp-sdk/core/identity";
import { Secp256k1KeyIdentity } from "@icp-sdk/core/identity/secp256k1";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { certifiedAt } from "../../lib/ic/read-state.ts";
import { startLocalNetwork } from "../../localnet/index.ts";
import { exactly } from "../support/exactly.ts";
import { assemble, TINY } from "./assemble.ts";
import { agentFor, deploy, management, NO_ARGUMENT, owner, startNetwork, stranger } from "./setup.ts";

const MINUTE_NS = 60_000_000_000n;
const network = await startNetwork(t);
const agent = await agentFor(network);
const id = await deploy(agent, TINY);
const GLOBAL = 15;

type Content = Record<string, unknown>;

function inMinutes(minutes: number): bigint {
  return BigInt(Date.now()) * 1_000_000n + BigInt(minutes) * MINUTE_NS;
}

function callContent(method: string, changes: Content = {}): Content {
  return {
    request_type: "call",
    canister_id: id.toUint8Array(),
    method_name: method,
    arg: NO_ARGUMENT,
    sender: owner.getPrincipal().toUint8Array(),
    ingress_expiry: inMinutes(3),
    ...changes,
  };
}

async function signed(content: Content, identity: SignIdentity = owner): Promise<Uint8Array> {
  const message = Buffer.concat([IC_REQUEST_DOMAIN_SEPARATOR, requestIdOf(content)]);
  return cbor.encodeWithSelfDescribedTag({
    content,
    sender_pubkey: identity.getPublicKey().toDer(),
    sender_sig: await identity.sign(new Uint8Array(message)),
  });
}

function anonymous(content: Content): Uint8Array {
  return cbor.encodeWithSelfDescribedTag({ content: { ...content, sender: Uint8Array.of(4) } });
}

async function post(
  path: string,
  body: Uint8Array,
): Promise<{ status: number; text: string; body: Content }> {
  const response = await fetch(network.url + path, {
    method: "POST",
    headers: { "content-type": "application/cbor" },
    body: Uint8Array.from(body),
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const isCbor = response.status === 200;
  return {
    status: response.status,
    text: isCbor ? "" : Buffer.from(bytes).toString(),
    body: isCbor ? (cbor.decode(bytes) as Content) : {},
  };
}

const canisterPath = (version: number, endpoint: string) =>
  `/api/v${version}/canister/${id.toText()}/${endpoint}`;

async function counted(): Promise<number> {
  const response = await agent.query(id, { methodName: "peek", arg: NO_ARGUMENT });
  if (!("reply" in response)) throw new Error(response.reject_message);
  return response.reply.arg[GLOBAL]!;
}

t.test("status", async (t) => {
  const response = await fetch(`${network.url}/api/v2/status`);
  t.equal(response.headers.get("content-type"), "application/cbor");
  const status = cbor.decode(new Uint8Array(await response.arrayBuffer())) as { root_key: Uint8Array };
  t.same(status.root_key, network.rootKey);
  const fetching = await HttpAgent.create({ host: network.url, shouldFetchRootKey: true });
  t.same(fetching.rootKey, network.rootKey);
});

t.test("every version of the endpoints", async (t) => {
  const before = await counted();
  for (const version of [2, 3]) {
    const query = await post(
      canisterPath(version, "query"),
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
    canisterPath(2, "call"),
    anonymous(callContent("bump", { nonce: Uint8Array.of(1) })),
  );
  t.equal(asynchronous.status, 202);
  for (const version of [3, 4]) {
    const nonce = Uint8Array.of(version);
    const call = await post(canisterPath(version, "call"), anonymous(callContent("bump", { nonce })));
    t.equal(call.body.status, "replied");
  }
  t.equal(await counted(), before + 3);
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

t.test("canister ranges in one leaf at the old endpoints, and in shards at the new ones", async (t) => {
  const subnet = (await agent.getSubnetIdFromCanister(id)).toUint8Array();
  const flat = ["subnet", subnet, "canister_ranges"];
  const shards = ["canister_ranges", subnet];
  /** Whether a certificate, and its delegation, show ranges in each of the two places. */
  const shown = (encoded: Uint8Array) => {
    const certificate = cbor.decode(encoded) as Cert;
    const delegation = cbor.decode(certificate.delegation!.certificate) as Cert;
    const has = (path: (string | Uint8Array)[], { tree }: Cert) =>
      lookup_subtree(path, tree).status === "Found";
    return {
      delegation: [has(flat, delegation), has(shards, delegation)],
      state: [has(flat, certificate), has(shards, certificate)],
      delegated: delegation.tree,
    };
  };
  const answers = async (version: number): Promise<Uint8Array[]> => {
    const nonce = Uint8Array.of(100 + version);
    const call = await post(canisterPath(version + 1, "call"), anonymous(callContent("bump", { nonce })));
    const paths = [[new Uint8Array(Buffer.from("subnet"))]];
    const content = { request_type: "read_state", paths, ingress_expiry: inMinutes(3) };
    const read = await post(canisterPath(version, "read_state"), anonymous(content));
    const query = callContent("certificate", { request_type: "query" });
    const { body } = await post(canisterPath(version, "query"), anonymous(query));
    return [call.body.certificate, read.body.certificate, (body.reply as Content).arg] as Uint8Array[];
  };
  for (const [index, encoded] of (await answers(2)).entries()) {
    const { delegation, state } = shown(encoded);
    t.same(delegation, [true, false]);
    t.equal(state[0], index === 1, "the state shows the ranges only if they were requested");
    t.ok(
      await Certificate.create({
        certificate: encoded,
        rootKey: network.rootKey,
        principal: { canisterId: id },
      }),
    );
  }
  for (const encoded of await answers(3)) {
    const { delegation, state, delegated } = shown(encoded);
    t.same(delegation, [false, true]);
    t.same(state, [false, false]);
    const found = lookup_subtree(shards, delegated) as { value: HashTree };
    const leaves = flatten_forks(found.value).filter(([kind, , below]) => kind === 2 && below?.[0] === 3);
    t.equal(leaves.length, 1, "only one of several shards is shown");
    t.ok(flatten_forks(found.value).length > 1);
    const checked = {
      certificate: encoded,
      rootKey: network.rootKey,
      principal: { canisterId: id },
    };
    t.ok(await Certificate.create(checked));
  }
  const read = async (version: number, where: string, ...path: (string | Uint8Array)[]) => {
    const paths = [path.map((label) => new Uint8Array(Buffer.from(label as string)))];
    const content = { request_type: "read_state", paths, ingress_expiry: inMinutes(3) };
    return post(`/api/v${version}/${where}/read_state`, anonymous(content));
  };
  const [canister, whole] = [
    `canister/${id.toText()}`,
    `subnet/${Principal.fromUint8Array(subnet).toText()}`,
  ];
  t.equal((await read(2, canister, ...flat)).status, 200);
  t.equal((await read(3, canister, ...flat)).status, 404, "the newer endpoint does not have the flat ranges");
  t.equal((await read(3, canister, ...shards)).status, 404);
  const ofSubnet = shown((await read(3, whole, ...shards)).body.certificate as Uint8Array);
  t.same(ofSubnet.delegation, [false, false], "the delegation of a whole subnet shows no ranges");
  t.same(ofSubnet.state, [false, true]);
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
  t.equal((await post(canisterPath(4, "query"), new Uint8Array())).status, 404);
  t.equal((await post("/api/v2/canister/nonsense/query", new Uint8Array())).status, 400);
  t.equal((await post(canisterPath(2, "query"), Uint8Array.of(0xff, 0x00))).status, 400);
  t.equal((await post(canisterPath(2, "query"), cbor.encode({ content: 1 }))).status, 400);
  t.equal((await fetch(network.url + canisterPath(2, "query"))).status, 405);
  const misaddressed = anonymous(
    callContent("bump", { canister_id: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 9, 1, 1]) }),
  );
  t.match(await post(canisterPath(2, "call"), misaddressed), { status: 400, text: /Effective canister id/ });
});

t.test("pre-consensus rejects", async (t) => {
  for (const version of [2, 3, 4]) {
    const { body } = await post(canisterPath(version, "call"), anonymous(callContent("nothing")));
    t.match(body, {
      status: "non_replicated_rejection",
      reject_code: 5,
      error_code: "IC0536",
      reject_message: String,
    });
  }
});

t.test("requests expire", async (t) => {
  const before = await counted();
  for (const minutes of [-1, 10]) {
    const call = await signed(callContent("bump", { ingress_expiry: inMinutes(minutes) }));
    const { status, text } = await post(canisterPath(3, "call"), call);
    t.equal(status, 400);
    t.ok(text.startsWith("Invalid request expiry: "), text);
    const query = callContent("peek", { request_type: "query", ingress_expiry: inMinutes(minutes) });
    t.equal((await post(canisterPath(2, "query"), await signed(query))).status, 400);
    t.equal(
      (await post(canisterPath(2, "query"), anonymous(query))).status,
      200,
      "anonymous queries do not expire",
    );
  }
  t.equal(await counted(), before);
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
    t.match(await post(canisterPath(2, "call"), body), { status: 400, text });
  }
});

t.test("signatures", async (t) => {
  const before = await counted();
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
    t.equal((await post(canisterPath(3, "call"), cbor.encode(envelope))).status, 400, name);
  }
  t.equal(await counted(), before);
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

t.test("a repeated request runs only once", async (t) => {
  const before = await counted();
  const body = await signed(callContent("bump", { nonce: Uint8Array.of(9) }));
  const answers = await Promise.all([2, 3, 4, 3].map((version) => post(canisterPath(version, "call"), body)));
  t.same(
    answers.map(({ status }) => status),
    [202, 200, 200, 200],
  );
  t.equal(
    (await post(canisterPath(3, "call"), body)).body.status,
    "replied",
    "a repeat after completion gets the reply as well",
  );
  t.equal(await counted(), before + 1);
});

t.test("ingress of more than 2 MiB is refused", async (t) => {
  const before = await counted();
  const large = callContent("bump", { arg: new Uint8Array(2 * 1024 * 1024) });
  t.match(await post(canisterPath(3, "call"), await signed(large)), {
    status: 413,
    text: /exceeds limit of 2097152/,
  });
  const huge = callContent("bump", { arg: new Uint8Array(20 * 1024 * 1024) });
  t.match(await post(canisterPath(3, "call"), await signed(huge)), { status: 413 });
  t.match(await post(canisterPath(3, "query"), anonymous(huge)), {
    status: 413,
    text: /exceeds limit of 5242880/,
  });
  t.equal(await counted(), before);
  const fits = callContent("bump", { arg: new Uint8Array(2 * 1024 * 1024 - 1024) });
  t.equal((await post(canisterPath(3, "call"), await signed(fits))).status, 200);
});

async function readState(
  labels: (string | Uint8Array)[],
  sender = owner,
): Promise<{ status: number; found: string }> {
  const path = labels.map((label) => new Uint8Array(Buffer.from(label as string)));
  const content = {
    request_type: "read_state",
    paths: [path],
    sender: sender.getPrincipal().toUint8Array(),
    ingress_expiry: inMinutes(3),
  };
  const { status, body } = await post(canisterPath(2, "read_state"), await signed(content, sender));
  if (status !== 200) return { status, found: "" };
  const certificate = body.certificate as Uint8Array;
  const verified = await Certificate.create({
    certificate,
    rootKey: network.rootKey,
    principal: { canisterId: id },
  });
  return { status, found: verified.lookup_path(path).status };
}

t.test("access to the state tree", async (t) => {
  const canister = id.toUint8Array();
  t.match(await readState(["time"]), { status: 200, found: "Found" });
  t.match(await readState(["canister", canister, "module_hash"]), { found: "Found" });
  t.match(await readState(["canister", canister, "controllers"], stranger), { found: "Found" });
  t.match(await readState(["canister", canister, "metadata", "candid:service"], stranger), {
    found: "Found",
  });
  t.match(await readState(["canister", canister, "metadata", "secret"]), { found: "Found" });
  t.match(await readState(["canister", canister, "metadata", "secret"], stranger), { status: 403 });
  t.match(await readState(["canister", canister, "metadata", "none"]), { status: 200, found: "Absent" });
  t.match(await readState(["canister", canister, "certified_data"]), { status: 404 });
  t.match(await readState(["canister", canister]), { status: 404 });
  t.match(await readState(["canister", Uint8Array.of(1, 1, 1), "controllers"]), { status: 400 });
  t.match(await readState(["nonsense"]), { status: 404 });

  const { requestId } = await agent.call(id, { methodName: "bump", arg: NO_ARGUMENT });
  t.match(await readState(["request_status", requestId, "reply"]), { found: "Found" });
  t.match(await readState(["request_status", requestId], stranger), { status: 403 });
  t.match(await readState(["request_status", new Uint8Array(32), "status"]), {
    status: 200,
    found: "Absent",
  });
});

t.test("a certificate proves that a nonexistent canister has no module", async (t) => {
  const nobody = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");
  const path = ["canister", nobody.toUint8Array(), "module_hash"].map(
    (label) => new Uint8Array(Buffer.from(label)),
  );
  const { certificate } = await agent.readState({ canisterId: nobody }, { paths: [path] });
  const verified = await Certificate.create({
    certificate,
    rootKey: network.rootKey,
    principal: { canisterId: nobody },
  });
  t.equal(verified.lookup_path(path).status, "Absent");
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
