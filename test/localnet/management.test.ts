import { gzipSync } from "node:zlib";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { assemble, GLOBAL, I32, TINY } from "./assemble.ts";
import {
  agentFor,
  controlledBy,
  deploy,
  management,
  NO_ARGUMENT,
  owner,
  queryBytes,
  rejection,
  startNetwork,
  stranger,
  updateBytes,
} from "./setup.ts";

const network = await startNetwork(t);
const agent = await agentFor(network);
const ic = management(agent);
const ICBOOT = "oeagv-5qaaa-aaaah-aar4q-cai";

const update = (id: Principal, method: string) => updateBytes(agent, id, method);
const query = (id: Principal, method: string) => queryBytes(agent, id, method);

t.test("a wasm32 canister: start, init, state, traps", async (t) => {
  const id = await deploy(agent, TINY);
  const first = await query(id, "peek");
  t.equal(first[1], 5, "the start function has run");
  t.equal(Buffer.from(first.subarray(2, 6)).toString(), "DIDL", "init has run after the start function");
  t.equal(first[GLOBAL], 7);
  t.equal((await update(id, "bump"))[GLOBAL], 8);
  t.equal((await query(id, "bumpQuery"))[GLOBAL], 9);
  t.equal((await query(id, "peek"))[GLOBAL], 8, "a query's changes to globals are discarded");
  await t.rejects(update(id, "trap"), /Canister trapped: unreachable/);
  t.equal((await query(id, "peek"))[GLOBAL], 8, "a trapped update's changes to globals are discarded");
  await update(id, "stable");
  t.equal((await query(id, "peekStable"))[0], 42);
  await t.rejects(update(id, "silent"), /did not reply/);
  await t.rejects(update(id, "unknown"), /ic0\.something_new/);
  await t.rejects(update(id, "beyond"), /heap out of bounds/);
  await t.rejects(update(id, "nothing"), /no update method 'nothing'/);
  await t.rejects(query(id, "bump"), /no query method 'bump'/);
  t.same(await update(id, "caller"), Buffer.from((await agent.getPrincipal()).toUint8Array()));
});

t.test("memory added by queries is not available to updates", async (t) => {
  const id = await deploy(agent, TINY);
  t.equal((await update(id, "size"))[14], 1);
  await query(id, "growQuery");
  await query(id, "growQuery");
  t.equal((await update(id, "size"))[14], 1);
});

t.test("canister ids", async (t) => {
  const counted = await deploy(agent, TINY);
  const next = await deploy(agent, TINY);
  t.equal(counted.compareTo(next), "lt");
  t.equal((await deploy(agent, TINY, ICBOOT)).toText(), ICBOOT);
  t.equal((await query(Principal.fromText(ICBOOT), "peek"))[GLOBAL], 7);
  const create = (id: Principal) =>
    ic.provisional_create_canister_with_cycles!({ amount: [], settings: [], specified_id: [id] });
  t.match(await rejection(create(Principal.fromText(ICBOOT))), { message: /already installed/ });
  t.match(await rejection(create(owner.getPrincipal())), { message: /not a canister id/ });
  t.match(await rejection(create(Principal.managementCanister())), { message: /not a canister id/ });
});

t.test("only controllers can manage a canister", async (t) => {
  const id = await deploy(agent, TINY);
  const theirs = management(await agentFor(network, stranger));
  const install = { mode: { reinstall: null }, canister_id: id, wasm_module: TINY, arg: NO_ARGUMENT };
  for (const call of [
    () => theirs.install_code!(install),
    () => theirs.stop_canister!({ canister_id: id }),
    () => theirs.canister_status!({ canister_id: id }),
    () => theirs.update_settings!({ canister_id: id, settings: controlledBy(stranger.getPrincipal()) }),
    () => theirs.delete_canister!({ canister_id: id }),
  ]) {
    t.match(await rejection(call()), {
      code: 5,
      errorCode: "IC0512",
      message: /Only controllers of canister/,
    });
  }
  await ic.update_settings!({ canister_id: id, settings: controlledBy(stranger.getPrincipal()) });
  t.match(await rejection(ic.canister_status!({ canister_id: id })), { errorCode: "IC0512" });
  const { settings } = (await theirs.canister_status!({ canister_id: id })) as {
    settings: { controllers: Principal[] };
  };
  t.same(
    settings.controllers.map((controller) => controller.toText()),
    [stranger.getPrincipal().toText()],
  );
});

t.test("installing, upgrading, uninstalling", async (t) => {
  const id = await deploy(agent, TINY);
  const install = { canister_id: id, arg: NO_ARGUMENT, wasm_module: TINY };
  await update(id, "bump");
  await update(id, "stable");
  t.match(await rejection(ic.install_code!({ ...install, mode: { install: null } })), {
    errorCode: "IC0514",
  });

  const failing = assemble({ imports: [], functions: [{ name: "canister_post_upgrade", body: [0x00] }] });
  const broken = ic.install_code!({ ...install, wasm_module: failing, mode: { upgrade: [] } });
  t.match(await rejection(broken), { errorCode: "IC0502", message: /unreachable/ });
  t.equal((await query(id, "peek"))[GLOBAL], 8, "a failed upgrade changes nothing");

  const compressed = new Uint8Array(gzipSync(TINY));
  await ic.install_code!({ ...install, wasm_module: compressed, mode: { upgrade: [] } });
  t.equal((await query(id, "peek"))[GLOBAL], 7, "the upgrade starts with fresh memory");
  t.equal((await query(id, "peekStable"))[0], 42, "the upgrade keeps stable memory");

  await ic.install_code!({ ...install, mode: { reinstall: null } });
  await t.rejects(query(id, "peekStable"), /stable memory out of bounds/);

  const nonsense = Uint8Array.from(Buffer.from("nonsense"));
  t.match(
    await rejection(ic.install_code!({ ...install, wasm_module: nonsense, mode: { reinstall: null } })),
    {
      errorCode: "IC0505",
    },
  );
  await ic.uninstall_code!({ canister_id: id });
  await t.rejects(query(id, "peek"), /contains no Wasm module/);
  const { module_hash } = (await ic.canister_status!({ canister_id: id })) as { module_hash: unknown[] };
  t.same(module_hash, []);
});

t.test("a failed upgrade rolls back what pre_upgrade wrote to stable memory", async (t) => {
  const saving = assemble({
    imports: [
      ["msg_reply", [], []],
      ["msg_reply_data_append", [I32, I32], []],
      ["stable_grow", [I32], [I32]],
      ["stable_write", [I32, I32, I32], []],
      ["stable_read", [I32, I32, I32], []],
    ],
    functions: [
      { name: "canister_init", body: [0x41, 1, 0x10, 2, 0x1a] },
      // Adds 1 to the first byte of stable memory: stable_read(0, 0, 1), memory[0] += 1, stable_write(0, 0, 1).
      {
        name: "canister_pre_upgrade",
        body: [
          ...[0x41, 0, 0x41, 0, 0x41, 1, 0x10, 4],
          ...[0x41, 0, 0x41, 0, 0x2d, 0, 0, 0x41, 1, 0x6a, 0x3a, 0, 0],
          ...[0x41, 0, 0x41, 0, 0x41, 1, 0x10, 3],
        ],
      },
      {
        name: "canister_query peek",
        body: [0x41, 0, 0x41, 0, 0x41, 1, 0x10, 4, 0x41, 0, 0x41, 1, 0x10, 1, 0x10, 0],
      },
    ],
  });
  const failing = assemble({ imports: [], functions: [{ name: "canister_post_upgrade", body: [0x00] }] });
  const id = await deploy(agent, saving);
  const upgrade = { canister_id: id, arg: NO_ARGUMENT, mode: { upgrade: [] } };
  // Once with untouched stable memory, and once over a page with data.
  for (const before of [0, 1]) {
    await rejection(ic.install_code!({ ...upgrade, wasm_module: failing }));
    t.equal((await query(id, "peek"))[0], before);
    await ic.install_code!({ ...upgrade, wasm_module: saving });
    t.equal((await query(id, "peek"))[0], before + 1);
  }
  const skip = { upgrade: [{ skip_pre_upgrade: [true], wasm_memory_persistence: [] }] };
  const other = await deploy(agent, saving);
  await ic.install_code!({ ...upgrade, canister_id: other, mode: skip, wasm_module: saving });
  t.equal((await query(other, "peek"))[0], 0, "nothing is written when pre_upgrade is skipped");
});

t.test("stopping, starting, deleting", async (t) => {
  const id = await deploy(agent, TINY);
  t.match(await rejection(ic.delete_canister!({ canister_id: id })), { errorCode: "IC0510" });
  await ic.stop_canister!({ canister_id: id });
  t.match(await ic.canister_status!({ canister_id: id }), { status: { stopped: null } });
  await t.rejects(update(id, "bump"), /is stopped/);
  await t.rejects(query(id, "peek"), /is stopped/);
  await ic.start_canister!({ canister_id: id });
  t.equal((await update(id, "bump"))[GLOBAL], 8, "the canister keeps its state");
  await ic.stop_canister!({ canister_id: id });
  await ic.delete_canister!({ canister_id: id });
  await t.rejects(query(id, "peek"), /not found/);
  t.match(await rejection(ic.stop_canister!({ canister_id: id })), { code: 3, errorCode: "IC0301" });
});

t.test("heartbeats", async (t) => {
  const beating = assemble({
    imports: [
      ["msg_reply", [], []],
      ["msg_reply_data_append", [I32, I32], []],
    ],
    globals: [0],
    functions: [
      { name: "canister_heartbeat", body: [0x23, 0, 0x41, 1, 0x6a, 0x24, 0] },
      {
        name: "canister_query peek",
        body: [0x41, 0, 0x23, 0, 0x3a, 0, 0, 0x41, 0, 0x41, 1, 0x10, 1, 0x10, 0],
      },
    ],
  });
  const id = await deploy(agent, beating);
  const beats = async () => (await query(id, "peek"))[0]!;
  while ((await beats()) < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  const before = await beats();
  while ((await beats()) === before) await new Promise((resolve) => setTimeout(resolve, 50));
  t.ok((await beats()) > before, "it goes on");
});

t.test("users cannot call create_canister", async (t) => {
  t.match(await rejection(ic.create_canister!({ settings: [] })), {
    message: /no method 'create_canister' for users/,
  });
});
