/** A canister of 32-bit memory by a compiler other than Motoko's, over the network. */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { Certificate } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { rewriteModule } from "../../localnet/wasm-binary.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { compileAssemblyScript } from "./assemblyscript.ts";
import {
  agentFor,
  deploy,
  KEEP,
  management,
  NO_ARGUMENT,
  owner,
  queryBytes,
  rejection,
  startNetwork,
  updateBytes,
} from "./setup.ts";

const wasm = await compileAssemblyScript(
  fileURLToPath(new URL("./canisters/notes/main.as", import.meta.url)),
);
const printed: string[] = [];
const network = await startNetwork(t, { log: (line) => printed.push(line) });
const agent = await agentFor(network);
const ic = management(agent);

const query = async (id: Principal, method: string, argument = "") =>
  (await queryBytes(agent, id, method, argument)).toString();
const update = async (id: Principal, method: string, argument: string | Uint8Array = "") =>
  (await updateBytes(agent, id, method, argument)).toString();

t.test("properties of the module", async (t) => {
  const module = rewriteModule(wasm);
  t.equal(module.memory64, false);
  t.equal(module.hasStart, true);
  t.equal(module.tracksWrites, true);
  t.equal(module.isReusable, true);
});

t.test("init, updates, queries and traps", async (t) => {
  const { canister_id: id } = await ic.provisional_create_canister_with_cycles!({
    amount: [],
    settings: [],
    specified_id: [],
  });
  const arg = new Uint8Array(Buffer.from("from init"));
  const wasm_module = new Uint8Array(gzipSync(wasm));
  await ic.install_code!({ mode: { install: null }, canister_id: id, wasm_module, arg });
  t.ok(printed.includes(`[${id.toText()}] initialised`), "debug_print", { printed });
  t.equal(await query(id, "get", "initial"), "<from init>");
  t.equal(await query(id, "numbers"), "1 0 1.5 0.75 true");
  t.equal(await update(id, "put", "key=größer"), "2");
  t.equal(await query(id, "putQuery", "other=x"), "3");
  t.equal(await query(id, "numbers"), "2 0 2.5 1.0 true", "a query leaves nothing behind");
  await t.rejects(update(id, "putThenTrap", "other=x"), /IC0503: .*'put and taken back'/);
  await t.rejects(query(id, "get", "other"), /IC0503: .*'no note other'/);
  t.equal(await query(id, "numbers"), "2 0 2.5 1.0 true", "a trap leaves nothing behind");
  t.equal(await query(id, "get", "key"), "<größer>");
  await update(id, "plain");
  t.equal(
    await query(id, "get", "key"),
    "größer",
    "the update has switched to another function of the table",
  );
  await t.rejects(query(id, "outOfBounds"), /IC0503: .*aborted: Index out of range/);
  await t.rejects(query(id, "divide"), /IC0502: .*integer division by 0/);
  t.same(await queryBytes(agent, id, "caller"), Buffer.from(owner.getPrincipal().toUint8Array()));
  await t.rejects(update(id, "refused"), /IC0406: .*rejected the message/);
  t.match(await query(id, "cycles"), /^9999\d{10}$/, "the balance is 100 T less the cycles spent");
});

t.test("growing memory", async (t) => {
  const id = await deploy(agent, wasm);
  const pages = Number(await update(id, "fill", "40"));
  t.ok(pages > 640, `${pages} pages`);
  let sum = 0;
  for (let value = 1; value <= 40; value++) sum += value * 1024 * 1024;
  t.equal(await query(id, "ballast"), `${sum}`);
  t.equal(await query(id, "ballast"), `${sum}`);
});

t.test("certified data", async (t) => {
  const id = await deploy(agent, wasm);
  await update(id, "certify", "what is certified");
  const certificate = await Certificate.create({
    certificate: new Uint8Array(await queryBytes(agent, id, "certificate")),
    rootKey: network.rootKey,
    principal: { canisterId: id },
  });
  const path = [Buffer.from("canister"), id.toUint8Array(), Buffer.from("certified_data")];
  const found = certificate.lookup_path(path.map((label) => new Uint8Array(label)));
  t.equal(found.status === "Found" && Buffer.from(found.value).toString(), "what is certified");
  await t.rejects(updateBytes(agent, id, "certificate"), /no certificate/, "an update gets no certificate");
});

t.test("timers", async (t) => {
  const id = await deploy(agent, wasm);
  await update(id, "arm");
  let numbers = "";
  // The timer is due at once. A busy machine gets ten seconds.
  for (let looks = 0; looks < 500 && !numbers.startsWith("1 1 "); looks++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    numbers = await query(id, "numbers");
  }
  t.match(numbers, /^1 1 /, "the timer's function has run");
});

t.test("calls to other canisters, with their replies, rejects and clean-up", async (t) => {
  const id = await deploy(agent, wasm);
  const other = await deploy(agent, wasm);
  await update(other, "put", "key=value");
  await update(other, "put", "trapping=trap");
  const relay = (callee: Principal, argument: string) =>
    update(id, "relay", Buffer.concat([callee.toUint8Array(), Buffer.from(argument)]));
  t.equal(await relay(other, "key"), "reply 7 <value>");
  t.equal(await query(id, "get", "relayed"), "<13>", "changes made before the answer are kept");
  t.match(await relay(other, "missing"), /^reject 8 5 .*'no note missing'/);
  await t.rejects(relay(other, "trapping"), /in the callback/);
  t.equal(await query(id, "get", "cleanup"), "<9>", "the clean-up has run");
  await t.rejects(query(id, "get", "lost"), /no note lost/);
  t.equal(await relay(id, "cleanup"), "reply 7 <9>", "itself");
});

t.test("upgrades keep stable memory, and --state keeps everything", async (t) => {
  const state = await temporaryDirectory(t);
  let network = await startNetwork(t, { state });
  let agent = await agentFor(network);
  const id = await deploy(agent, wasm);
  for (const note of ["a=1", "b=2", `long=${"x".repeat(200_000)}`]) await updateBytes(agent, id, "put", note);
  await updateBytes(agent, id, "plain");
  const upgrade = { mode: { upgrade: [] }, canister_id: id, wasm_module: wasm, arg: NO_ARGUMENT };
  t.match(await rejection(management(agent).install_code!({ ...upgrade, mode: KEEP })), {
    errorCode: "IC0504",
    message: /requires that the new canister module supports enhanced orthogonal persistence/,
  });
  await management(agent).install_code!(upgrade);
  t.equal(
    (await queryBytes(agent, id, "get", "b")).toString(),
    "<2>",
    "the upgrade restores the note in fresh memory",
  );
  t.equal((await queryBytes(agent, id, "get", "long")).length, 200_002);
  t.equal((await queryBytes(agent, id, "numbers")).toString(), "4 0 4.5 1.5 true");
  await updateBytes(agent, id, "plain");
  await network.close();

  network = await startNetwork(t, { state });
  agent = await agentFor(network);
  t.equal((await queryBytes(agent, id, "get", "b")).toString(), "2");
  t.equal((await queryBytes(agent, id, "numbers")).toString(), "4 0 4.5 1.5 true");
  t.equal((await updateBytes(agent, id, "put", "c=3")).toString(), "5");
  await management(agent).install_code!({ ...upgrade, mode: { reinstall: null } });
  t.match((await queryBytes(agent, id, "numbers")).toString(), /^1 0 1.5 0.75/);
});
