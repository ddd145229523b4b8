import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import { startOwnedCanister } from "../support/people.ts";

t.test("when two publish at once, one wins, and the other gets a conflict and loses nothing", async (t) => {
  const c = await startOwnedCanister(t);
  const { id } = c;
  await c.publish("before");
  const ann = await c.person("ann", "ed25519");
  const bob = await c.person("bob", "secp256k1");
  for (const { principal } of [ann, bob]) await c.owner("grant", id, principal, "publisher");
  const trees = { ann: join(c.directory, "ann"), bob: join(c.directory, "bob") };
  await writeTree(trees.ann, { common: "both", ann: "a".repeat(100_000) });
  await writeTree(trees.bob, { common: "both", bob: "b".repeat(100_000) });

  // Both have read the same newest release and uploaded their chunks. Then Bob's release is accepted first.
  const proxy = await startFaultProxy(t, c.url);
  let bobs: ReturnType<typeof bob.icfs> | undefined;
  let done = false;
  proxy.fault = faultFor("publish", () => {
    bobs ??= bob.icfs("publish", trees.bob, id, "--json").finally(() => {
      done = true;
    });
    return done ? "none" : { status: 503 };
  });
  const late = await ann.icfs("publish", trees.ann, id, "--json", "--network", proxy.url);
  t.match(late, { code: 1, stdout: "" });
  t.match(
    late.stderr,
    /icfs: conflict: somebody else published release 2 meanwhile\. Nothing was lost; publish again/,
  );
  t.match(await bobs, { code: 0, stdout: /"release":2,/ });
  t.same((await c.icfs(["ls", id])).stdout, "bob\ncommon\n");

  const again = await ann.icfs("publish", trees.ann, id, "--json");
  t.match(JSON.parse(again.stdout), { release: 3, chunksUploaded: 0, bytesUploaded: 0 });
  t.same((await c.icfs(["ls", id])).stdout, "ann\ncommon\n");
  t.match(await c.icfs(["cat", `${id}@2`, "common"]), { code: 0, stdout: "both" });
});
