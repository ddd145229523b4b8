/** icfs deploy --with-cycles makes, installs and pays for a canister. The ledger is a twin of the IC's. Interrupted: paid-canister.long.ts. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { startNetwork } from "../support/canister-network.ts";
import { startLedgerTwin } from "../support/cycles-ledger.ts";
import { faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import { inOrder } from "../support/in-order.ts";

const T = 10n ** 12n;
const test = inOrder(t);
const n = await startNetwork(t);
const deploy = (...args: string[]) => n.icfs(["deploy", "--with-cycles", "2T", ...args]);
const owner = Principal.fromText((await n.icfs(["identity"])).stdout.trim());

test("a network without a ledger", async (t) => {
  t.match(await deploy(), {
    code: 1,
    stdout: "",
    stderr: `icfs: there is no cycles ledger at ${n.url}: canisters cost nothing on a local network, leave --with-cycles out\n`,
  });
});

test("with the ledger", async (t) => {
  const ledger = await startLedgerTwin(n);
  const balance = () => ledger.icrc1_balance_of({ owner, subaccount: [] });
  const proxy = await startFaultProxy(t, n.url);
  const through = (...args: string[]) => deploy("--network", proxy.url, ...args);
  const directory = join(n.env.XDG_STATE_HOME!, "icfs/deployed");
  const payments = async () => (await readdir(directory)).filter((name) => name.endsWith(".payment"));

  await t.test("too few cycles", async (t) => {
    await ledger.twin_mint(owner, T / 2n);
    const { code, stdout, stderr } = await deploy();
    t.match({ code, stdout }, { code: 1, stdout: "" });
    t.equal(
      stderr,
      [
        `icfs: not enough cycles: ${owner} has 0.5 T at the cycles ledger, and 2.0001 T are wanted, the ledger's fee included. If you have cycles or ICP elsewhere, send the rest with icp-cli:`,
        "  icp cycles mint --cycles 1500200000000 --network ic",
        `  icp cycles transfer 1500100000000 ${owner} --network ic\n`,
      ].join("\n"),
    );
    t.same(await payments(), [], "no payment is recorded");
  });

  await t.test("a canister is made, installed, owned and paid for", async (t) => {
    await ledger.twin_mint(owner, 20n * T);
    const before = await balance();
    const { code, stdout, stderr } = await deploy();
    t.equal(code, 0, stderr);
    const id = stdout.trim();
    t.match(stderr, `icfs: made ${id} with 2 T; `);
    t.match(stderr, `installed ${id} on ${n.url}, owned by ${owner}`);
    t.equal(before - (await balance()), 2n * T + 100_000_000n);
    t.same(await payments(), []);
    t.match(
      await n.icfs(["deploy", id]),
      { code: 0, stderr: `upgraded ${id}` },
      "the caller can upgrade the new canister",
    );
    const { cycles } = JSON.parse((await n.icfs(["status", id, "--json"])).stdout);
    t.ok(BigInt(cycles) > 19n * (T / 10n) && BigInt(cycles) <= 2n * T, cycles);
    t.match((await deploy()).stderr, `icfs: ${id} was deployed on ${n.url} before, and this makes another`);
  });

  await t.test("when answers are lost, one canister is made and paid for once", async (t) => {
    const [before, count] = [await balance(), await ledger.twin_payments()];
    let lost = 0;
    proxy.fault = faultFor("create_canister", () => (lost++ < 2 ? "lost" : "none"));
    const { code, stdout, stderr } = await through();
    t.equal(code, 0, stderr);
    t.equal(lost, 3);
    t.match(stdout, /-cai\n$/);
    t.equal(await ledger.twin_payments(), count + 1n);
    t.equal(before - (await balance()), 2n * T + 100_000_000n);
  });
});

test("invalid amounts and combinations are refused", async (t) => {
  const id = "oeagv-5qaaa-aaaah-aar4q-cai";
  t.match(await n.icfs(["deploy", "--with-cycles", "2TT"]), {
    code: 2,
    stderr: /with-cycles.*Use a number of cycles, such as 2T, 500B or 2000000000000\./,
  });
  for (const named of [[id], ["--specified-id", id]]) {
    t.match(await deploy(...named), {
      code: 2,
      stderr: /--with-cycles makes a new canister: give either that or a canister/,
    });
  }
});

test("where canisters cost cycles and none are given, the error says how to get them", async (t) => {
  const { code, stdout, stderr } = await n.icfs(["deploy", "--network", "ic"]);
  t.match({ code, stdout }, { code: 1, stdout: "" });
  const pem = join(n.env.XDG_CONFIG_HOME!, "icfs/identity.pem");
  for (const line of [
    "icfs: canisters are created with cycles on https://icp-api.io, and neither one that is there",
    `\n  icp identity import icfs --from-pem ${pem} --storage plaintext\n`,
    "\n  icp cycles mint --cycles 2.1T --network ic --identity icfs ",
    "\n  icfs deploy --with-cycles 2T\n",
    "icfs deploy --network local\n",
  ]) {
    t.ok(stderr.includes(line), line);
  }
  const theirs = await n.icfs(["deploy", "--network", "ic", "--identity", "icp:me"]);
  t.match(
    theirs.stderr,
    /icp cycles mint .* --identity me [\s\S]*icfs deploy --with-cycles 2T --identity icp:me\n/,
  );
  t.notMatch(theirs.stderr, "import");
});
