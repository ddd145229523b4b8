/** Which answers `put` believes, and what it does about the others. */
import { createHash } from "node:crypto";
import type { HttpAgent } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { isTransient, SYS_TRANSIENT } from "../../lib/ic/call-errors.ts";
import type { IcfsCanister } from "../../lib/icfs-canister.ts";
import { putArgument, withQuickPut } from "../../lib/publish/quick-put.ts";
import { bytesOf } from "./trees.ts";

const BLOBS = IDL.Vec(IDL.Vec(IDL.Nat8));
const id = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");
const chunks = [bytesOf(1, 200), bytesOf(2, 300_000)];
const hashes = chunks.map((bytes) => createHash("sha256").update(bytes).digest());

/** Puts while the network answers with `body`. @returns the result, and how often the agent's own `put` was called */
async function putAnswered(body: unknown, status = 200) {
  let again = 0;
  const real = {
    put: async () => {
      again += 1;
      return hashes;
    },
  } as unknown as IcfsCanister;
  const agent = { call: async () => ({ requestId: new Uint8Array(32), response: { status, body } }) };
  const put = withQuickPut(real, agent as unknown as HttpAgent, id).put(chunks);
  return { stored: await put.catch((error: unknown) => error), again };
}

t.test("the argument is the same as from the agent's encoder", async (t) => {
  for (const blobs of [chunks, [], [new Uint8Array(127)], [new Uint8Array(128)]]) {
    t.ok(putArgument(blobs).equals(IDL.encode([BLOBS], [blobs])), `${blobs.length} blobs`);
  }
});

t.test("an answer that contains the chunks' hashes is enough", async (t) => {
  const reply = IDL.encode([BLOBS], [hashes]);
  const certificate = Buffer.concat([Buffer.alloc(100, 1), reply, Buffer.alloc(50, 2)]);
  t.same(await putAnswered({ certificate }), { stored: hashes, again: 0 });
});

t.test("after any other answer, the agent calls again and verifies", async (t) => {
  const swapped = Buffer.from(IDL.encode([BLOBS], [hashes.toReversed()]));
  const flipped = Buffer.from(IDL.encode([BLOBS], [hashes]));
  flipped[flipped.length - 1]! ^= 1;
  for (const certificate of [swapped, flipped, Buffer.alloc(0)]) {
    t.same(await putAnswered({ certificate }), { stored: hashes, again: 1 });
  }
  t.same(await putAnswered(null), { stored: hashes, again: 1 });
});

t.test("a call that is rejected fails as the agent's does", async (t) => {
  const rejected = async (reject_code: number) =>
    putAnswered({ reject_code, reject_message: "busy", error_code: "" });
  const busy = await rejected(SYS_TRANSIENT);
  t.equal(busy.again, 0);
  t.ok(isTransient(busy.stored));
  t.notOk(isTransient((await rejected(SYS_TRANSIENT + 1)).stored));
});
