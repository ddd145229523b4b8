/** What the local network's certificates show, and to whom. */
import * as cbor from "@dfinity/cbor";
import { type Cert, Certificate, flatten_forks, type HashTree, lookup_subtree } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { TINY } from "./assemble.ts";
import { anonymous, type Content, inMinutes, requestsTo, signed } from "./requests.ts";
import { agentFor, deploy, NO_ARGUMENT, owner, startNetwork, stranger } from "./setup.ts";

const network = await startNetwork(t);
const agent = await agentFor(network);
const id = await deploy(agent, TINY);
const { callContent, pathOf, post } = requestsTo(network, agent, id);

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
    const call = await post(pathOf(version + 1, "call"), anonymous(callContent("bump", { nonce })));
    const paths = [[new Uint8Array(Buffer.from("subnet"))]];
    const content = { request_type: "read_state", paths, ingress_expiry: inMinutes(3) };
    const read = await post(pathOf(version, "read_state"), anonymous(content));
    const query = callContent("certificate", { request_type: "query" });
    const { body } = await post(pathOf(version, "query"), anonymous(query));
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
  const { status, body } = await post(pathOf(2, "read_state"), await signed(content, sender));
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
