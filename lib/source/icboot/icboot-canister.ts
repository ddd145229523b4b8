/**
 * The canister that icfs replaces, as it is on the main network: names, lengths, and bytes in sectors of 512.
 *
 *     listing : () -> (vec record { text; nat }) query;
 *     get     : (record { filename : text; sector_no : nat; count : nat }) -> (blob) query;
 *
 * `get` answers with fewer than `count` sectors at a file's end, with nothing past it or for an unknown name,
 * and with zeros where nothing was ever written.
 */
import { IDL } from "@icp-sdk/core/candid";
import { FormatError } from "../../errors.ts";
import { decodeBlob, NO_ARGUMENTS } from "../../ic/agent.ts";
import { type CandidRecord, decodeRecords, decodingRecords } from "../../ic/candid.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { inSteps } from "../../steps.ts";
import type { Listed } from "../listed-tree.ts";

export const SECTOR_BYTES = 512;

const GET = [IDL.Record({ filename: IDL.Text, sector_no: IDL.Nat, count: IDL.Nat })];

/** All names with their lengths, in no order. @throws FormatError, and what `call` throws */
export async function listing(call: Call): Promise<Listed[]> {
  return listedIn(await inSteps(decodingRecords(await call("listing", NO_ARGUMENTS))));
}

/** What a reply of `listing` says. @throws FormatError */
export function decodeListing(reply: Uint8Array): Listed[] {
  return listedIn(decodeRecords(reply));
}

function listedIn(records: readonly CandidRecord[]): Listed[] {
  return records.map((record) => {
    const size = record.get(1);
    if (typeof size !== "bigint") throw new FormatError("the reply is not a listing");
    // Anybody can set any length: an impossible one must not hide the other files.
    return { path: record.text(0), size: Math.min(Number(size), Number.MAX_SAFE_INTEGER) };
  });
}

/**
 * The bytes of a file from `offset` on.
 *
 * @param offset a multiple of 512
 * @param bytes how many; the request is for whole sectors, so more of the file may come
 * @throws FormatError, and what `call` throws
 */
export async function get(call: Call, filename: string, offset: number, bytes: number): Promise<Uint8Array> {
  const range = { filename, sector_no: offset / SECTOR_BYTES, count: Math.ceil(bytes / SECTOR_BYTES) };
  return decodeBlob(await call("get", IDL.encode(GET, [range])));
}
