/** If `icfs deploy --with-cycles` is interrupted, or gets no answer, the canister is paid for only once. The ledger is a twin of the IC's. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { startNetwork } from "../support/canister-network.ts";
import { startLedgerTwin } from "../support/cycles-ledger.ts";
import { faultFor, startFaultProxy } from "../support/fault-proxy.ts";

const T = 10n ** 12n;
const n = await startNetwork(t);
const deploy = (...args: string[]) => n.icfs(["deploy", "--with-cycles", "2T", ...args]);
const owner = Principal.fromText((await n.icfs(["identity"])).stdout.trim());
const ledger = await startLedgerTwin(n);
await ledger.twin_mint(owner, 20n * T);
const balance = () => ledger.icrc1_balance_of({ owner, subaccount: [] });
const proxy = await startFaultProxy(t, n.url);
const through = (...args: string[]) => deploy("--network", proxy.url, ...args);
const directory = join(n.env.XDG_STATE_HOME!, "icfs/deployed");
const payments = async () => (await readdir(directory)).filter((name) => name.endsWith(".payment"));

t.test("a deployment that was killed or could not install is continued, and paid for once", async (t) => {
  const count = await ledger.twin_payments();
  // The process is killed while it waits.
  const asked = Promise.withResolvers<void>();
  proxy.fault = faultFor("create_canister", () => {
    asked.resolve();
    return "silence";
  });
  const killed = n.icfs(["deploy", "--with-cycles", "2T", "--network", proxy.url], {
    started: (child) => void asked.promise.then(() => child.kill("SIGKILL")),
  });
  t.equal((await killed).code, 137);
  t.equal((await payments()).length, 1, "the request for payment is recorded");

  await t.test("a deployment with another amount is refused meanwhile", async (t) => {
    const other = await n.icfs(["deploy", "--with-cycles", "3T"]);
    t.match(other, { code: 1, stderr: /a deployment with 2 T of \S+ has had no answer: run it again, / });
    t.match(other.stderr, "`icfs deploy --with-cycles 2000000000000` with that identity");
  });

  proxy.fault = faultFor("install_code", { status: 403 });
  const failed = await through();
  const [, id] = /icfs: made (\S+) with 2 T|icfs: goes on with (\S+),/.exec(failed.stderr)!.filter(Boolean);
  t.match(failed, { code: 1, stdout: "", stderr: "cannot deploy: " });
  t.equal(await ledger.twin_payments(), count + 1n);

  proxy.fault = () => "none";
  const { code, stdout, stderr } = await deploy();
  t.match({ code, stdout }, { code: 0, stdout: `${id}\n` });
  t.match(stderr, `icfs: goes on with ${id}, which was paid for before\n`);
  t.equal(await ledger.twin_payments(), count + 1n, "paid once");
  t.same(await payments(), []);
});

t.test("the ledger's refusal, and a request that it has forgotten, are reported", async (t) => {
  const before = await balance();
  await ledger.twin_behave(["no subnet has room"], false);
  t.match(await deploy(), {
    code: 1,
    stderr:
      /^icfs: no canister could be made: no subnet has room; the cycles are back, except for fees \(block \d+\)$/m,
  });
  t.equal(before - (await balance()), 200_000_000n);
  t.same(await payments(), [], "no record is left of a refunded payment");
  await ledger.twin_behave([], false);

  // The ledger has forgotten a request that is this old.
  const [name] = (await readdir(directory)).filter((one) => /^[0-9a-f]+$/.test(one));
  const file = join(directory, `${name}.payment`);
  const old = { owner: owner.toText(), amount: String(2n * T), createdAt: "1000000000000000000" };
  await writeFile(file, JSON.stringify(old));
  t.match(await deploy(), {
    code: 1,
    stderr:
      /does not know any more what became of this request, which is older than a day: .* remove \S+\.payment/,
  });
  t.same(JSON.parse(await readFile(file, "utf8")), old, "the record of the forgotten request is unchanged");
  await writeFile(file, "{");
  t.match(await deploy(), { code: 1, stderr: /says what the cycles ledger was asked for, cannot be read/ });
});
