/**
 * The canister keeps little on its heap, whatever it serves. The heap's size does not show that, because it includes garbage. So the test
 * makes Motoko prepare an upgrade by graph copy: it copies every reachable object to stable memory, which grows by whole pages of 64 KiB.
 */
import { Actor } from "@icp-sdk/core/agent";
import t, { type Test } from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { memoryOf } from "../support/canister-memory.ts";
import { ICFS_WASM, type StartedCanister, sha256, startIcfsCanister } from "../support/icfs-canister.ts";
import { ready } from "../support/site.ts";

const PAGE = 64 * 1024;

/** The canister without its inspect_message, which refuses the message that copies the heap. */
function uninspected(): Uint8Array<ArrayBuffer> {
  const wasm = Buffer.from(ICFS_WASM);
  // In Wasm, the length of an export's name precedes the name.
  const name = Buffer.from("\x18canister_inspect_message");
  const at = wasm.lastIndexOf(name);
  if (at === -1) throw new Error("the canister does not inspect messages");
  wasm.write("x", at + 1);
  return Uint8Array.from(wasm);
}

const started = (t: Test) => startIcfsCanister(t, { messageTimeLimit: 600_000 }, uninspected());

/** The size of all reachable objects on the heap, in bytes, in whole pages. The canister does nothing more afterwards. */
async function keptOf({ network: { agent }, id }: StartedCanister): Promise<number> {
  const before = await memoryOf(agent, id);
  await Actor.createActor<{ __motoko_stabilize_before_upgrade(): Promise<void> }>(
    ({ IDL }) => IDL.Service({ __motoko_stabilize_before_upgrade: IDL.Func([], [], []) }),
    { agent, canisterId: id },
  ).__motoko_stabilize_before_upgrade();
  return (await memoryOf(agent, id)).stable - before.stable;
}

/** Publishes so many files, of which one differs in each release, and keeps the release. */
async function publish(canister: StartedCanister, files: number, round: number): Promise<void> {
  const chunk = Buffer.alloc(1000);
  await canister.owner.put([chunk]);
  const entries = Array.from(
    { length: files },
    (_, i): Entry => ({
      kind: "file",
      path: `file ${10_000 + i}`,
      modified: 0n,
      size: 10,
      sha256: sha256(Buffer.from(`${i} ${i === 7 ? round : ""}`)),
      executable: false,
      extents: [{ chunk: 0, offset: i % 900, length: 10 }],
    }),
  );
  const result = await canister.publish({ chunks: [{ sha256: sha256(chunk), size: 1000 }], entries });
  if (!("ok" in result)) throw new Error(JSON.stringify(result));
  await canister.owner.keep(result.ok, true);
  await ready(canister);
}

async function keptWith(t: Test, files: number, releases: number): Promise<number> {
  const canister = await started(t);
  for (let round = 0; round < releases; round++) await publish(canister, files, round);
  return keptOf(canister);
}

t.test(
  "the heap keeps nothing for each path, or for each path of a kept release",
  { timeout: 1_800_000 },
  async (t) => {
    const [few, many, pinned] = [
      await keptWith(t, 10, 1),
      await keptWith(t, 5000, 1),
      await keptWith(t, 5000, 5),
    ];
    t.comment(
      `${few} bytes are kept with 10 files, ${many} with 5,000, and ${pinned} with 5 releases of them`,
    );
    t.ok(few > 0);
    t.ok(many - few <= PAGE, `4,990 more paths take ${many - few} bytes`);
    t.ok(pinned - many <= PAGE, `4 more releases take ${pinned - many} bytes`);
  },
);

t.test("the heap keeps only that a rollback is held, not its chunks", { timeout: 1_800_000 }, async (t) => {
  const keptAfter = async (rollbacks: number) => {
    const canister = await started(t);
    await publish(canister, 2000, 0);
    for (let i = 0; i < rollbacks; i++) {
      const parent: [Uint8Array] = [(await canister.source.head())!.hash];
      const result = await canister.owner.rollback({ to: 1n, parent, note: "" });
      if (!("ok" in result)) throw new Error(JSON.stringify(result));
    }
    t.equal((await canister.owner.status()).held.length, rollbacks + 1, "all rollbacks are held");
    return keptOf(canister);
  };
  const each = ((await keptAfter(300)) - (await keptAfter(0))) / 300;
  t.comment(`${each} bytes for a rollback`);
  t.ok(each < 1000, `a rollback takes ${each} bytes, less than a list of the tree's chunks`);
});
