/** The release is requested while the answers to the last chunks are still to come. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpAgent } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import t from "tap";
import { publish } from "../../lib/publish/publish.ts";
import { startCanister } from "../support/canister-network.ts";
import { bytesOf, PLAINLY, writeTree } from "./trees.ts";

const MiB = 1024 * 1024;
/** How long the answers take once all puts have begun: longer than the publisher waits before it asks for the release. */
const PUT_MS = 1500;
const PUTS = 5;
const BLOBS = IDL.Vec(IDL.Vec(IDL.Nat8));

t.test("the release is requested before all chunks are answered", async (t) => {
  const c = await startCanister(t);
  const directory = join(c.directory, "tree");
  await mkdir(directory);
  const agent = c.publisherAgent;
  const call = agent.call.bind(agent);

  /** Publishes a new file of four chunks. `last` replaces the call of the last put. */
  async function published(
    last: (put: () => ReturnType<HttpAgent["call"]>, asked: Promise<void>) => unknown,
  ) {
    await writeTree(directory, { file: bytesOf(Math.floor(Math.random() * 1e6), (PUTS - 1) * MiB) });
    const asked = Promise.withResolvers<void>();
    const allBegun = Promise.withResolvers<void>();
    const calls: Record<string, number> = {};
    agent.call = async (...parameters) => {
      const { methodName } = parameters[1];
      calls[methodName] = (calls[methodName] ?? 0) + 1;
      const go = () => call(...parameters);
      if (methodName === "put") {
        if (calls.put === PUTS) {
          allBegun.resolve();
          return (await last(go, asked.promise)) as ReturnType<typeof go>;
        }
        const answer = await go();
        await allBegun.promise;
        await sleep(PUT_MS);
        return answer;
      }
      const answer = await go();
      asked.resolve();
      return answer;
    };
    const source = c.source();
    const options = { ...PLAINLY, directory, canister: c.canister, agent, source, note: "" };
    const { release, chunksUploaded } = await publish(options);
    return { release, chunksUploaded, calls };
  }

  await t.test("a request that comes too early is repeated after the last answer", async (t) => {
    const result = await published(async (put, asked) => {
      await asked;
      return put();
    });
    t.same(result, { release: 1, chunksUploaded: PUTS, calls: { put: PUTS, publish: 2 } });
  });

  await t.test("a request that comes in time does not wait for the last answer", async (t) => {
    const result = await published(async (put, asked) => {
      const answer = await put();
      await asked;
      return answer;
    });
    t.same(result, { release: 2, chunksUploaded: PUTS, calls: { put: PUTS, publish: 1 } });
  });

  await t.test("chunks that a gateway falsely confirms are sent again", async (t) => {
    await writeTree(directory, { file: bytesOf(7, MiB) });
    let puts = 0;
    agent.call = async (...parameters) => {
      const { methodName, arg } = parameters[1];
      if (methodName !== "put" || ++puts > 2) return call(...parameters);
      const [chunks] = IDL.decode([BLOBS], new Uint8Array(arg)) as unknown as [Uint8Array[]];
      const hashes = chunks.map((bytes) => createHash("sha256").update(bytes).digest());
      const response = { status: 200, body: { certificate: IDL.encode([BLOBS], [hashes]) } };
      return { requestId: new Uint8Array(32), response } as unknown as ReturnType<typeof call>;
    };
    const source = c.source();
    const options = { ...PLAINLY, directory, canister: c.canister, agent, source, note: "" };
    t.match(
      await publish(options),
      { release: 3, chunksUploaded: 4 },
      "the false confirmation is noticed, and every chunk is sent again",
    );
    t.equal(puts, 4);
  });
});
