/**
 * `put` without what makes it dear: the two signatures of an answer's certificate take 50 ms of the processor, and @icp-sdk/core's
 * encoder of Candid takes ten times as long for blobs as copying them. Of an answer only this is wanted: does it name the
 * hashes of what was sent? It is not even decoded. If it lies, `publish` says what is missing, in an answer that is
 * verified as all others are; and an answer that says anything else has the call made again, by the agent.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { unverifiedCall } from "../ic/canister-calls.ts";
import type { IcfsCanister } from "../icfs-canister.ts";
import { sha256 } from "../tree/hash.ts";
import { leb128 } from "../tree/manifest-encoder.ts";

/** `DIDL`, two types (vec nat8, and a vec of the first), one argument of the second: what the Candid of blobs begins with. */
const BLOBS_PREFIX = Buffer.from("4449444c026d7b6d000101", "hex");
/** What stands before a hash in Candid: its length. */
const HASH_LENGTH = Buffer.of(32);

/** A canister whose `put` is quick. @param canister called for all else, and when an answer is not as expected */
export function withQuickPut(canister: IcfsCanister, agent: HttpAgent, canisterId: Principal): IcfsCanister {
  return {
    ...canister,
    put: async (chunks) => {
      const hashes = await Promise.all(chunks.map(sha256));
      const answer = await unverifiedCall(agent, canisterId, "put", putArgument(chunks));
      return names(answer, hashes) ? hashes : canister.put(chunks);
    },
  };
}

/** Candid of the argument (vec blob). */
export function putArgument(chunks: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [BLOBS_PREFIX, leb128(chunks.length)];
  for (const chunk of chunks) parts.push(leb128(chunk.length), chunk);
  return Buffer.concat(parts);
}

/** Whether the Candid of these hashes, one behind the other, is anywhere in `answer`. */
function names(answer: Uint8Array, hashes: readonly Uint8Array[]): boolean {
  const expected = Buffer.concat(hashes.flatMap((hash) => [HASH_LENGTH, hash]));
  return Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength).includes(expected);
}
