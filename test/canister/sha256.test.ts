import { createHash, randomBytes, randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { Actor, type ActorSubclass } from "@icp-sdk/core/agent";
import t, { type Test } from "tap";
import { compiled } from "../support/compiled.ts";
import { startEmptyNetwork } from "../support/networks.ts";

interface Hasher {
  sha256(bytes: Uint8Array, size: number): Promise<Uint8Array>;
}

const MAX = 3 * 1024 * 1024;

let hasher: ActorSubclass<Hasher>;
t.before(async () => {
  const network = await startEmptyNetwork(t);
  const main = fileURLToPath(new URL("./sha256/main.mo", import.meta.url));
  const wasm = compiled(main, [fileURLToPath(new URL("../../canister", import.meta.url))]);
  const canisterId = await network.install(wasm);
  hasher = Actor.createActor<Hasher>(
    ({ IDL }) =>
      IDL.Service({ sha256: IDL.Func([IDL.Vec(IDL.Nat8), IDL.Nat32], [IDL.Vec(IDL.Nat8)], ["query"]) }),
    { agent: network.agent, canisterId },
  );
});

async function compare(t: Test, size: number): Promise<void> {
  // The pattern's length is prime, so that repetitions do not line up with blocks.
  const pattern = randomBytes(1021);
  const data = Buffer.alloc(size);
  for (let at = 0; at < size; at += pattern.length) pattern.copy(data, at);
  const expected = createHash("sha256").update(data).digest("hex");
  const actual = Buffer.from(await hasher.sha256(Uint8Array.from(pattern), size)).toString("hex");
  t.equal(actual, expected, `${size} bytes, repeating ${pattern.toString("hex", 0, 8)}...`);
}

t.test("every length up to 200 bytes", async (t) => {
  for (let size = 0; size <= 200; size++) await compare(t, size);
});

t.test("random lengths", async (t) => {
  for (let i = 0; i < 40; i++) await compare(t, randomInt(MAX + 1));
  await compare(t, 1024 * 1024);
  await compare(t, MAX);
});
