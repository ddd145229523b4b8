/** The kind of a canister is found by certified data, else by queries, and never by an update. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Actor, Cbor, type HttpAgent } from "@icp-sdk/core/agent";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { compileMotoko } from "../../canister/compile.ts";
import { createAgent } from "../../lib/ic/agent.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { detectSource } from "../../lib/source/detect.ts";
import { startAssets } from "../support/assets.ts";
import { startCanister } from "../support/canister-network.ts";
import { type Fault, type FaultProxy, faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import { icbootWasm, startIcboot } from "../support/icboot.ts";
import { installCanister, replaceCanister } from "../support/networks.ts";

const REQUEST_TIMEOUT = 30_000;

const c = await startCanister(t);
const { network, rootKey } = c;
const agent = createAgent({
  network,
  rootKey,
  identity: Ed25519KeyIdentity.generate(),
  verifyQuerySignatures: true,
  requestTimeout: REQUEST_TIMEOUT,
}) as HttpAgent;

/** Compiles and installs an actor. @param isPublic whether its interface may be read by all */
async function install(name: string, source: string, isPublic: boolean): Promise<Principal> {
  const directory = join(c.directory, name);
  await mkdir(directory, { recursive: true });
  const main = join(directory, `${name}.mo`);
  await writeFile(main, source);
  return installCanister(agent, compileMotoko(main, [], isPublic ? ["candid:service"] : []).wasm);
}

const detect = (canister: Principal) => detectSource({ network, rootKey, canister }, REQUEST_TIMEOUT);

t.test("each kind of canister is recognised, whether its interface is public or not", async (t) => {
  t.equal(await detect(c.canister), "icfs");
  const icboot = await startIcboot(t);
  const assets = await startAssets(t);
  for (const [other, kind] of [
    [icboot, "icboot"],
    [assets, "assets"],
  ] as const) {
    const address = { network: other.network, rootKey: other.rootKey, canister: other.canister };
    t.equal(await detectSource(address, REQUEST_TIMEOUT), kind);
  }
});

t.test("update methods with the probed names are never called", async (t) => {
  const source = `persistent actor {
    var called = 0;
    public func release() : async Blob { called += 1; "" };
    public func certified_tree(_ : {}) : async { certificate : Blob; tree : Blob } { called += 1; { certificate = ""; tree = "" } };
    public func listing() : async [(Text, Nat)] { called += 1; [] };
    public query func calls() : async Nat { called };
  }`;
  for (const isPublic of [false, true]) {
    const canister = await install(`updates${isPublic}`, source, isPublic);
    const error = await detect(canister).catch((error: Error) => error);
    t.match(error, { name: "UserError", message: /is not a canister that icfs can read. Tried: / });
    if (isPublic) t.match((error as Error).message, /its certified interface has only .*listing/);
    else
      for (const tried of ["as icfs: ", "as assets: ", "as icboot: ", "not public"])
        t.match((error as Error).message, tried);
    const actor = Actor.createActor<{ calls(): Promise<bigint> }>(
      ({ IDL }) => IDL.Service({ calls: IDL.Func([], [IDL.Nat], ["query"]) }),
      { agent, canisterId: canister },
    );
    t.equal(await actor.calls(), 0n);
  }
});

t.test("a canister that answers in another shape is not taken for a known kind", async (t) => {
  const source = `persistent actor {
    public query func release() : async Text { "mine" };
    public query func listing() : async [Text] { ["a"] };
  }`;
  const canister = await install("shapes", source, false);
  await t.rejects(detect(canister), {
    message: /as icfs: release answers something else.*as icboot: listing answers/,
  });
  const { code, stderr } = await c.icfs(["ls", canister.toText()]);
  t.match({ code, stderr }, { code: 1, stderr: /Tried: .*--source icfs, icboot or assets/ });
  t.match(await c.icfs(["ls", canister.toText(), "--source", "icboot"]), {
    code: 1,
    stderr: /not a list of records/,
  });
});

t.test("the network's errors are recognised by their codes, never by the canister's own words", async (t) => {
  const source = `import Runtime "mo:core/Runtime";
  persistent actor {
    public query func release() : async Blob { Runtime.trap("stopped: out of cycles, frozen; this canister is private") };
    public query func certified_tree(_ : {}) : async { certificate : Blob; tree : Blob } { Runtime.trap("too large, larger than it may be") };
    public query func listing() : async [(Text, Nat)] { Runtime.trap("stopping") };
  }`;
  const canister = await install("words", source, false);
  const tried = /Tried: .*as icfs: .*out of cycles.*as assets: .*too large.*as icboot: .*stopping/;
  await t.rejects(detect(canister), { name: "UserError", message: tried });
  // Its kind is still unknown, so it is asked again.
  await stop(canister);
  await t.rejects(detect(canister), { name: "RejectError", errorCode: "IC0508" });
});

/** A gateway's answer, which no node has signed, that there is no such method. @param answer the node's own */
function unsignedNo(answer: Buffer, keepsSignature: boolean): Buffer {
  const { signatures } = Cbor.decode<{ signatures: unknown }>(Uint8Array.from(answer));
  const no = {
    status: "rejected",
    reject_code: 3,
    reject_message: "Canister has no query method 'release'.",
    error_code: "IC0536",
  };
  return Buffer.from(Cbor.encode(keepsSignature ? { ...no, signatures } : no));
}

t.test(
  'a "no" that nobody has signed does not make a canister one whose bytes are less well proved',
  async (t) => {
    const icboot = await startIcboot(t);
    const assets = await startAssets(t);
    const hidden = (proxy: FaultProxy, method: string, no: Fault) => {
      proxy.everywhere = true;
      proxy.fault = (path, body) => {
        if (path.endsWith("/read_state") && body.includes("candid:service")) return { status: 404 };
        return path.endsWith("/query") ? faultFor(method, () => no)(path, body) : "none";
      };
    };
    for (const [kind, one, method] of [
      ["icfs", c, "release"],
      ["assets", assets, "certified_tree"],
      ["icboot", icboot, "listing"],
    ] as const) {
      const proxy = await startFaultProxy(t, one.network.url);
      const address = {
        network: resolveNetwork(proxy.url),
        rootKey: one.rootKey,
        canister: one.canister,
      };
      hidden(proxy, method, "none");
      t.equal(await detectSource(address, REQUEST_TIMEOUT), kind, `${kind}: its interface is not public`);
      for (const keepsSignature of [false, true]) {
        hidden(proxy, method, (answer) => unsignedNo(answer, keepsSignature));
        const name = `${kind}: ${keepsSignature ? "signed, but not that" : "unsigned"}`;
        const said = {
          name: "SignatureError",
          message: /cannot be told whether .*say --source icfs, icboot or assets/,
        };
        await t.rejects(detectSource(address, REQUEST_TIMEOUT), said, name);
        await t.rejects(
          detectSource({ ...address, release: 1 }, REQUEST_TIMEOUT),
          said,
          `${name}, CANISTER@1`,
        );
      }
      hidden(proxy, method, { status: 400, body: "no query method" });
      await t.rejects(detectSource(address, REQUEST_TIMEOUT), { name: "HttpStatusError" }, `${kind}: HTTP`);
    }
  },
);

async function stop(canister_id: Principal): Promise<void> {
  const management = Actor.createActor<{ stop_canister(request: object): Promise<void> }>(
    ({ IDL }) =>
      IDL.Service({ stop_canister: IDL.Func([IDL.Record({ canister_id: IDL.Principal })], [], []) }),
    { agent, canisterId: Principal.managementCanister(), effectiveCanisterId: canister_id },
  );
  await management.stop_canister({ canister_id });
}

t.test(
  "a canister from which this host has accepted releases is an icfs canister, whatever answers now",
  async (t) => {
    // Other networks of this file have set their own directory.
    process.env.XDG_STATE_HOME = c.env.XDG_STATE_HOME;
    const tree = join(c.directory, "tree");
    await mkdir(tree, { recursive: true });
    await writeFile(join(tree, "a"), "a");
    const id = c.canister.toText();
    t.match(await c.icfs(["publish", tree, id]), { code: 0 });
    t.match(await c.icfs(["ls", id]), { code: 0 });
    await replaceCanister(c.publisherAgent, c.canister, "reinstall", icbootWasm());
    t.equal(await detect(c.canister), "icfs");
    t.match(await c.icfs(["ls", id]), { code: 1, stderr: /rejects "release"/ });
    t.match(await c.icfs(["trust", "reset", id]), { code: 0 });
    t.equal(await detect(c.canister), "icboot", "the canister is detected again once its trust is reset");
  },
);
