/** icfs trust where no canister is needed; test/cli/trust.long.ts has canisters that were reinstalled. */
import { createHash } from "node:crypto";
import { chown, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { trustCommand } from "../../lib/cli/trust.ts";
import { resolveNetwork, rootKeyOf } from "../../lib/ic/network.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";
const MAIN = createHash("sha256")
  .update(await rootKeyOf(resolveNetwork("ic"), undefined))
  .digest("hex");

/** A host that has accepted releases of one canister on several networks. */
async function host(t: Test) {
  const directory = await temporaryDirectory(t);
  process.env.XDG_STATE_HOME = directory;
  const trust = join(directory, "icfs/trust");
  await mkdir(trust, { recursive: true, mode: 0o700 });
  const accept = async (number: number, network: string, url?: string) => {
    const accepted = { canister: ID, network, number, header: "ab", ...(url !== undefined && { url }) };
    await writeFile(join(trust, `${ID}-${network.slice(0, 16)}.json`), JSON.stringify(accepted));
  };
  await accept(1, MAIN);
  await accept(2, "2".repeat(64), "http://127.0.0.1:4943");
  await accept(3, "3".repeat(64), "https://ic.example");
  await accept(4, "4".repeat(64));
  await writeFile(join(trust, `${ID}-${"5".repeat(16)}.json`), "");
  /** Runs `icfs trust`. @returns its output @throws UserError */
  const icfsTrust = async (...args: string[]) => {
    const { log } = console;
    let said = "";
    console.log = (line: string) => {
      said += `${line}\n`;
    };
    try {
      await trustCommand().parseAsync(args, { from: "user" });
    } finally {
      console.log = log;
    }
    return said;
  };
  const reset = (...args: string[]) => icfsTrust("reset", ID, ...args);
  const left = async () => (await readdir(trust)).filter((name) => name.endsWith(".json")).length;
  return { trust, icfsTrust, reset, left };
}

t.test("trust reset --network forgets one network, by the name that `trust show` prints", async (t) => {
  const { reset, left } = await host(t);
  const forgot = (what: string) => `forgot what was accepted of ${ID}: ${what}\n`;
  const none = /has not accepted anything from \S+ on \S+; `icfs trust show` says on which/;
  await t.rejects(reset("--network", "https://other.example"), { name: "UserError", message: none });
  await t.rejects(reset("--network", "nonsense"), { message: /unknown network "nonsense"/ });
  t.equal(await left(), 5);
  t.equal(await reset("--network", "local"), forgot("release 2 on local"));
  t.equal(await reset("--network", "https://ic.example/"), forgot("release 3 on https://ic.example"));
  t.equal(
    await reset("--network", "ic"),
    forgot("release 1 on ic"),
    "a record without a URL belongs to the network with its root key",
  );
  await t.rejects(reset("--network", "ic"), { message: none });
  const unnamed = `release 4 on (network with the root key ${"4".repeat(16)})`;
  t.equal(await reset("--network", "4".repeat(16)), forgot(unnamed));
  t.equal(await reset("--network", "5".repeat(16)), forgot("a damaged file"));
  t.equal(await left(), 0);
});

t.test("trust reset alone forgets the canister on all networks, and names each", async (t) => {
  const { reset, left } = await host(t);
  process.env.ICFS_NETWORK = "local";
  t.teardown(() => delete process.env.ICFS_NETWORK);
  const said = await reset();
  for (const what of [
    "release 1 on ic",
    "release 2 on local",
    "release 3 on https://ic.example",
    "a damaged file",
  ]) {
    t.match(said, `forgot what was accepted of ${ID}: ${what}\n`);
  }
  t.equal(await left(), 0);
});

t.test("a trust directory that belongs to another user is refused", async (t) => {
  const { trust, icfsTrust } = await host(t);
  await chown(trust, 65534, 65534);
  await t.rejects(icfsTrust("show"), {
    name: "UserError",
    message: `${trust} belongs to another user: set XDG_STATE_HOME to another directory`,
  });
});
