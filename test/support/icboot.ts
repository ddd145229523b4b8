/** Runs the twin of the canister that icfs replaces (icboot.mo) on a local network, and fills it like its uploader. */
import { fileURLToPath } from "node:url";
import { Actor, type HttpAgent } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import type { LocalNetworkOptions } from "../../localnet/index.ts";
import { type InstalledCanister, startInstalled } from "./canister-network.ts";
import { compiled } from "./compiled.ts";
import type { Test } from "./icfs.ts";
import { replaceCanister } from "./networks.ts";

const MAIN = fileURLToPath(new URL("icboot.mo", import.meta.url));
const LIBRARIES = [fileURLToPath(new URL("../../canister", import.meta.url))];
/** How much of a file the original's uploader reads and sends at once. */
const UPLOAD_BYTES = 1024 * 1024;

/** The canister's methods, field by field as in icboot.mo. */
export interface IcbootActor {
  print(): Promise<void>;
  get(range: { filename: string; sector_no: bigint; count: bigint }): Promise<Uint8Array>;
  put(part: { filename: string; sector_no: bigint; data_vec: Uint8Array }): Promise<void>;
  setlen(length: { filename: string; len: bigint }): Promise<void>;
  listing(): Promise<[string, bigint][]>;
}

export interface IcbootCanister extends InstalledCanister {
  /** Uploads a file as the original's uploader does: its parts in ascending order, then its length. */
  put(name: string, content: Uint8Array): Promise<void>;
  /** One call of the canister's `put`. */
  rawPut(name: string, byteOffset: number, bytes: Uint8Array): Promise<void>;
  setlen(name: string, length: number): Promise<void>;
  get(name: string, sector: number | bigint, count: number | bigint): Promise<Uint8Array>;
  listing(): Promise<[string, bigint][]>;
  /** Upgrades the canister, which loses all its data. */
  upgrade(): Promise<void>;
}

export function icbootWasm(): Uint8Array {
  // The original has no public Candid either.
  return compiled(MAIN, LIBRARIES, []);
}

/** Starts a network with the empty twin; it ends with the test. */
export async function startIcboot(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
): Promise<IcbootCanister> {
  const started = await startInstalled(t, icbootWasm(), options);
  const { canister, agent } = started;
  const actor = icbootActor(agent, canister);
  const rawPut = (filename: string, byteOffset: number, data_vec: Uint8Array) =>
    actor.put({ filename, sector_no: BigInt(byteOffset), data_vec });
  const setlen = (filename: string, length: number) => actor.setlen({ filename, len: BigInt(length) });
  return {
    ...started,
    rawPut,
    setlen,
    async put(name, content) {
      for (let at = 0; at < content.length; at += UPLOAD_BYTES)
        await rawPut(name, at, content.subarray(at, at + UPLOAD_BYTES));
      await setlen(name, content.length);
    },
    get: (filename, sector, count) =>
      actor.get({ filename, sector_no: BigInt(sector), count: BigInt(count) }),
    listing: () => actor.listing(),
    upgrade: () => replaceCanister(agent, canister, "upgrade", icbootWasm()),
  };
}

/** The canister's interface, with calls signed by `agent`. */
export function icbootActor(agent: HttpAgent, canisterId: Principal): IcbootActor {
  return Actor.createActor<IcbootActor>(candid, { agent, canisterId });
}

const candid: IDL.InterfaceFactory = ({ IDL }) => {
  const blob = IDL.Vec(IDL.Nat8);
  const filename = IDL.Text;
  return IDL.Service({
    print: IDL.Func([], [], ["query"]),
    get: IDL.Func([IDL.Record({ filename, sector_no: IDL.Nat, count: IDL.Nat })], [blob], ["query"]),
    put: IDL.Func([IDL.Record({ filename, sector_no: IDL.Nat, data_vec: blob })], [], []),
    setlen: IDL.Func([IDL.Record({ filename, len: IDL.Nat })], [], []),
    listing: IDL.Func([], [IDL.Vec(IDL.Tuple(IDL.Text, IDL.Nat))], ["query"]),
  });
};
