/**
 * `put` without its expensive parts: verifying the two signatures of an answer's certificate takes 50 ms of processor time, and
 * the Candid encoder of @icp-sdk/core takes ten times as long for blobs as copying them. This only checks whether the answer,
 * without decoding it, contains the hashes of what was sent. If it lies, `publish` reports what is missing, in an answer that is
 * verified as usual. After any other answer the agent makes the call again.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { unverifiedCall } from "../ic/canister-calls.ts";
import type { IcfsCanister } from "../icfs-canister.ts";
import { sha256 } from "../tree/hash.ts";
import { leb128 } from "../tree/manifest-encoder.ts";

/** `DIDL`, two types (vec nat8, and a vec of the first), one argument of the second: the start of blobs in Candid. */
const BLOBS_PREFIX = Buffer.from("4449444c026d7b6d000101", "hex");
/** The length that precedes a hash in Candid. */
const HASH_LENGTH = Buffer.of(32);

/** A canister with a quick `put`. @param canister called for everything else, and when an answer is not as expected */
export function withQuickPut(canister: IcfsCanister, agent: HttpAgent, canisterId: Principal): IcfsCanister {
  return {
    ...canister,
    put: async (chunks) => {
      const hashes = await Promise.all(chunks.map(sha256));
      const answer = await unverifiedCall(agent, canisterId, "put", putArgument(chunks));
      return hasHashes(answer, hashes) ? hashes : canister.put(chunks);
    },
  };
}

/** Candid of the argument (vec blob). */
export function putArgument(chunks: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [BLOBS_PREFIX, leb128(chunks.length)];
  for (const chunk of chunks) parts.push(leb128(chunk.length), chunk);
  return Buffer.concat(parts);
}

/** Whether the Candid of these hashes, one after another, is anywhere in `answer`. */
function hasHashes(answer: Uint8Array, hashes: readonly Uint8Array[]): boolean {
  const expected = Buffer.concat(hashes.flatMap((hash) => [HASH_LENGTH, hash]));
  return Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength).includes(expected);
}
