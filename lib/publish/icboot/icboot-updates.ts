/**
 * The update calls of the original's canister. (lib/source/icboot/icboot-canister.ts has the queries.) Anybody can make them.
 *
 *     put    : (record { filename : text; sector_no : nat; data_vec : blob }) -> ();
 *     setlen : (record { filename : text; len : nat }) -> ();
 *
 * `sector_no` is an offset in bytes, despite its name. After data that fill their last sector, `put` writes a whole sector of
 * zeros, over anything stored there. So a file is sent from beginning to end, part by part. Its length comes last: a file without
 * one is not listed, and cannot be read.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import { actorOf } from "../../ic/actor.ts";

export interface IcbootWriter {
  /** @param offset in bytes, a multiple of 512 */
  put(filename: string, offset: number, bytes: Uint8Array): Promise<void>;
  setlen(filename: string, length: number): Promise<void>;
}

interface Methods {
  put(part: { filename: string; sector_no: bigint; data_vec: Uint8Array }): Promise<void>;
  setlen(length: { filename: string; len: bigint }): Promise<void>;
}

export function icbootWriter(agent: HttpAgent, canisterId: Principal): IcbootWriter {
  const actor = actorOf<Methods>(candid, { agent, canisterId });
  return {
    put: (filename, offset, bytes) => actor.put({ filename, sector_no: BigInt(offset), data_vec: bytes }),
    setlen: (filename, length) => actor.setlen({ filename, len: BigInt(length) }),
  };
}

const candid: IDL.InterfaceFactory = ({ IDL }) => {
  const filename = IDL.Text;
  return IDL.Service({
    put: IDL.Func([IDL.Record({ filename, sector_no: IDL.Nat, data_vec: IDL.Vec(IDL.Nat8) })], [], []),
    setlen: IDL.Func([IDL.Record({ filename, len: IDL.Nat })], [], []),
  });
};
