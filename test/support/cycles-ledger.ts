/** Runs the twin of the cycles ledger (cycles-ledger.mo), under the real one's id. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import { actorOf } from "../../lib/ic/actor.ts";
import { createAgent } from "../../lib/ic/agent.ts";
import { CYCLES_LEDGER } from "../../lib/ic/cycles-ledger.ts";
import type { TestNetwork } from "./canister-network.ts";
import { compiled } from "./compiled.ts";
import { REQUEST_TIMEOUT } from "./networks.ts";

export interface LedgerTwin {
  twin_mint(owner: Principal, amount: bigint): Promise<void>;
  twin_behave(fails: [] | [string], hiding: boolean): Promise<void>;
  twin_payments(): Promise<bigint>;
  icrc1_balance_of(account: { owner: Principal; subaccount: [] }): Promise<bigint>;
}

/** Installs it. @param n the network, whose default identity deploys it */
export async function startLedgerTwin(n: TestNetwork): Promise<LedgerTwin> {
  const wasm = join(n.directory, "cycles-ledger.wasm");
  await writeFile(wasm, compiled(fileURLToPath(new URL("cycles-ledger.mo", import.meta.url))));
  const env = { ...n.env, XDG_STATE_HOME: join(n.directory, "ledger-state") };
  const id = CYCLES_LEDGER.toText();
  const { code, stderr } = await n.icfs(["deploy", "--specified-id", id, "--wasm", wasm], { env });
  if (code !== 0) throw new Error(`the ledger's twin: ${stderr}`);
  const agent = createAgent({
    network: n.network,
    rootKey: n.rootKey,
    verifyQuerySignatures: true,
    requestTimeout: REQUEST_TIMEOUT,
  });
  return actorOf<LedgerTwin>(twinInterface, { agent, canisterId: CYCLES_LEDGER });
}

const twinInterface: IDL.InterfaceFactory = ({ IDL }) =>
  IDL.Service({
    twin_mint: IDL.Func([IDL.Principal, IDL.Nat], [], []),
    twin_behave: IDL.Func([IDL.Opt(IDL.Text), IDL.Bool], [], []),
    twin_payments: IDL.Func([], [IDL.Nat], ["query"]),
    icrc1_balance_of: IDL.Func(
      [IDL.Record({ owner: IDL.Principal, subaccount: IDL.Opt(IDL.Vec(IDL.Nat8)) })],
      [IDL.Nat],
      ["query"],
    ),
  });
