/** What each role may do: owners, publishers, readers, strangers and anonymous callers. */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { IDL } from "@icp-sdk/core/candid";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { messageOf } from "../../lib/errors.ts";
import { actorOf } from "../../lib/ic/actor.ts";
import { blobArgument, NO_ARGUMENTS, queryBlob } from "../../lib/ic/agent.ts";
import { certifiedStatus, type IcfsCanister, icfsCanister } from "../../lib/icfs-canister.ts";
import { compiled } from "../support/compiled.ts";
import { ICFS_WASM, sha256, startIcfsCanister, treeOf } from "../support/icfs-canister.ts";

const failure = (call: Promise<unknown>): Promise<string> => call.then(() => "it succeeded", messageOf);
/** The refusal of inspect_message, which costs the canister nothing. */
const NOT_TAKEN = /rejected|refused|inspect/i;

/** A call of each method for publishers only. The methods for promoters only and for owners only follow. */
const publishing = (canister: IcfsCanister): Record<string, () => Promise<unknown>> => ({
  put: () => canister.put([randomBytes(10)]),
  publish: () => canister.publish({ manifest: [], parent: [], note: "" }),
  rollback: () => canister.rollback({ to: 1n, parent: [], note: "" }),
});
const promoting = (canister: IcfsCanister): Record<string, () => Promise<unknown>> => ({
  promote: () => canister.promote({ channel: "stable", release: [1n], serial: [], note: "" }),
});
const owning = (canister: IcfsCanister): Record<string, () => Promise<unknown>> => ({
  grant: () => canister.grant(Ed25519KeyIdentity.generate().getPrincipal(), { reader: null }),
  revoke: () => canister.revoke(Ed25519KeyIdentity.generate().getPrincipal()),
  restrict: () => canister.restrict(false),
  keep: () => canister.keep(1n, true),
  configure: async () => canister.configure((await canister.status()).settings),
});

t.test("strangers may only read", async (t) => {
  const canister = await startIcfsCanister(t);
  for (const [who, identity] of [
    ["anonymous", undefined],
    ["a stranger", Ed25519KeyIdentity.generate()],
  ] as const) {
    const stranger = canister.as(identity);
    const calls = { ...publishing(stranger), ...promoting(stranger), ...owning(stranger) };
    for (const [name, call] of Object.entries(calls)) {
      t.match(await failure(call()), NOT_TAKEN, `${who}: ${name}`);
    }
    t.strictSame([...(await stranger.missing([]))], [], `${who} may ask which chunks are missing`);
  }
  const { network, id } = canister;
  const queries = ["release", "chunk", "headers", "missing", "roles_granted", "listing", "get", "channels"];
  queries.push("no_such_method");
  for (const method of queries) {
    const { response } = await network.agent.call(id, {
      methodName: method,
      arg: NO_ARGUMENTS,
      effectiveCanisterId: id,
    });
    t.match(
      response.body,
      { reject_code: Number },
      `${method} is refused as an update call, even from the owner`,
    );
  }
});

t.test("owners can also get the status by update call", async (t) => {
  const { network, id, owner } = await startIcfsCanister(t);
  const { settings } = await owner.status();
  t.match((await certifiedStatus(network.agent, id)).settings, settings);
  const stranger = network.agentFor(Ed25519KeyIdentity.generate());
  t.match(await failure(certifiedStatus(stranger, id)), NOT_TAKEN);
});

t.test("a publisher may only publish, and nothing once revoked", async (t) => {
  const canister = await startIcfsCanister(t);
  const identity = Ed25519KeyIdentity.generate();
  const who = identity.getPrincipal();
  const publisher = canister.as(identity);
  await canister.owner.grant(who, { publisher: null });
  t.strictSame(
    (await canister.owner.roles_granted()).map(([principal, role]) => [principal.toText(), role]),
    [[who.toText(), { publisher: null }]],
  );
  for (const [name, call] of Object.entries(publishing(publisher))) {
    t.notMatch(await failure(call()), NOT_TAKEN, name);
  }
  for (const [name, call] of Object.entries({ ...promoting(publisher), ...owning(publisher) }))
    t.match(await failure(call()), NOT_TAKEN, name);
  await canister.owner.revoke(who);
  for (const [name, call] of Object.entries(publishing(publisher))) {
    t.match(await failure(call()), NOT_TAKEN, `${name} is refused once the role is revoked`);
  }
  t.strictSame(await canister.owner.roles_granted(), []);
  await canister.network.replace(canister.id, "upgrade", ICFS_WASM);
  t.match(await failure(canister.owner.grant(Principal.anonymous(), { reader: null })), /it is everybody/);
});

t.test(
  "other canisters are strangers too, although inspect_message does not check their calls",
  async (t) => {
    const { network, id, owner } = await startIcfsCanister(t);
    const caller = await network.install(
      compiled(fileURLToPath(new URL("./caller/main.mo", import.meta.url))),
      NO_ARGUMENTS,
    );
    const { call } = actorOf<{
      call(canister: Principal, method: string, args: Uint8Array): Promise<Uint8Array>;
    }>(
      ({ IDL }) => {
        const bytes = IDL.Vec(IDL.Nat8);
        return IDL.Service({ call: IDL.Func([IDL.Principal, IDL.Text, bytes], [bytes], []) });
      },
      { agent: network.agent, canisterId: caller },
    );
    // The owner's calls are recorded instead of sent.
    const sent: [method: string, args: Uint8Array][] = [];
    const agent = network.agentFor(network.identity);
    agent.call = async (_, { methodName, arg }) => {
      sent.push([methodName, Uint8Array.from(arg)]);
      throw new Error("not sent");
    };
    const recording = icfsCanister(agent, id);
    const calls = { ...publishing(recording), ...promoting(recording), ...owning(recording) };
    for (const make of Object.values(calls)) await failure(make());
    t.equal(sent.length, 9, "the calls cover all nine methods that change something");
    const before = await owner.status();
    for (const [method, args] of sent) {
      // String() keeps the agent's whole text, which has several lines.
      const said = await call(id, method, args).then(() => "it succeeded", String);
      t.match(said, /not authorised/, method);
    }
    t.match(await owner.status(), { loose_chunks: before.loose_chunks, settings: before.settings });
    await owner.grant(caller, { publisher: null });
    const [method, args] = sent[0]!;
    t.ok((await call(id, method, args)).length > 0, `${method} succeeds once the caller is a publisher`);
  },
);

t.test("a private canister answers only those with a role", async (t) => {
  const canister = await startIcfsCanister(t);
  const { owner, network, id } = canister;
  const { manifest, chunks } = treeOf({ a: "secret" });
  await owner.put(chunks);
  await canister.publish(manifest);
  const reader = Ed25519KeyIdentity.generate();
  const publisher = Ed25519KeyIdentity.generate();
  await owner.grant(reader.getPrincipal(), { reader: null });
  await owner.grant(publisher.getPrincipal(), { publisher: null });
  await owner.restrict(true);
  await network.replace(id, "upgrade", ICFS_WASM);
  const range = IDL.Record({ filename: IDL.Text, sector_no: IDL.Nat, count: IDL.Nat });
  const queries: [string, Uint8Array][] = [
    ["release", NO_ARGUMENTS],
    ["headers", Buffer.from("4449444c00027879010000000000000001000000", "hex")],
    ["chunk", blobArgument(sha256(chunks[0]!))],
    ["missing", Buffer.from("4449444c026d016d7b010000", "hex")],
    ["status", NO_ARGUMENTS],
    ["roles_granted", NO_ARGUMENTS],
    ["promoters_granted", NO_ARGUMENTS],
    ["channels", Buffer.from("4449444c016e71010000", "hex")],
    ["channel_history", Buffer.from("4449444c000371787900010000000000000001000000", "hex")],
    ["listing", NO_ARGUMENTS],
    ["get", new Uint8Array(IDL.encode([range], [{ filename: "a", sector_no: 0n, count: 1n }]))],
  ];
  for (const [method, arg] of queries) {
    for (const identity of [undefined, Ed25519KeyIdentity.generate()]) {
      const asked = network.agentFor(identity).query(id, { methodName: method, arg });
      t.match(await asked, { status: "rejected", reject_message: /this canister is private/ }, method);
    }
    for (const identity of [network.identity, reader, publisher]) {
      t.match(
        await network.agentFor(identity).query(id, { methodName: method, arg }),
        { status: "replied" },
        method,
      );
    }
  }
  t.match(
    await failure(canister.as(reader).put([randomBytes(10)])),
    NOT_TAKEN,
    "a reader may not put chunks",
  );
  await owner.restrict(false);
  const anybody = await queryBlob(network.agentFor(), id, "chunk", blobArgument(sha256(chunks[0]!)));
  t.ok(Buffer.from(anybody).equals(chunks[0]!), "a canister that is public again answers anonymous callers");
});

t.test(
  "an owner can be named at installation and survives an upgrade, and controllers are owners too",
  async (t) => {
    const { network } = await startIcfsCanister(t);
    const named = Ed25519KeyIdentity.generate();
    const type = IDL.Opt(IDL.Record({ owner: IDL.Opt(IDL.Principal) }));
    const naming = (owner: Principal) => new Uint8Array(IDL.encode([type], [[{ owner: [owner] }]]));
    const id = await network.install(ICFS_WASM, naming(named.getPrincipal()));
    const owner = icfsCanister(network.agentFor(named), id);
    t.equal((await owner.put([randomBytes(10)])).length, 1);
    t.equal(
      (await icfsCanister(network.agent, id).put([randomBytes(10)])).length,
      1,
      "the controller may put chunks",
    );
    await network.replace(id, "upgrade", ICFS_WASM);
    t.equal(
      (await owner.status()).owner.toText(),
      named.getPrincipal().toText(),
      "an upgrade does not change the owner",
    );
    await t.rejects(
      network.install(ICFS_WASM, naming(Principal.anonymous())),
      "nobody in particular cannot own",
    );
  },
);
