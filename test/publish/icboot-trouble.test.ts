/** Publishing to the original's canister while others write to it, answers get lost, or it refuses. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { IDL } from "@icp-sdk/core/candid";
import t from "tap";
import { HttpStatusError } from "../../lib/ic/call-errors.ts";
import { queries } from "../../lib/ic/canister-calls.ts";
import { type IcbootWriter, icbootWriter } from "../../lib/publish/icboot/icboot-updates.ts";
import { publishFiles } from "../../lib/publish/icboot/publish.ts";
import { startIcboot } from "../support/icboot.ts";
import { differing, filesIn, filesOf, treeIn } from "./icboot-trees.ts";
import { bytesOf, PLAINLY, writeTree } from "./trees.ts";

const MiB = 1024 * 1024;

t.test("publishing to an icboot canister while things go wrong", async (t) => {
  const c = await startIcboot(t);
  const tree = await treeIn(c, "tree");
  const files = { large: 3 * MiB, other: MiB, small: 5, empty: 0 };
  for (const [name, size] of Object.entries(files)) await writeTree(tree, { [name]: bytesOf(size, size) });
  const real = icbootWriter(c.agent, c.canister);
  const call = queries(c.agent, c.canister);
  const publishWith = (canister: IcbootWriter, reading = call) =>
    publishFiles({ ...PLAINLY, directory: tree, call: reading, canister, warn: t.fail });

  await t.test("an error names a file that somebody else overwrites meanwhile", async (t) => {
    const disturbed: IcbootWriter = {
      put: real.put,
      async setlen(name, length) {
        if (name === "other") await c.rawPut(name, 1024, Buffer.from("mine"));
        await real.setlen(name, length);
      },
    };
    await t.rejects(publishWith(disturbed), {
      message: /^the canister has other bytes of other than were sent: somebody else writes to it/,
    });
    t.match(
      await publishWith(real),
      { filesUploaded: 1, bytesUploaded: MiB },
      "the next attempt repairs the file",
    );
  });

  await t.test(
    "an error names a file whose length on the canister is not the one that was set",
    async (t) => {
      await writeFile(join(tree, "empty"), "");
      await writeFile(join(tree, "small"), "12345678");
      const disturbed: IcbootWriter = {
        put: real.put,
        setlen: (name, length) => real.setlen(name, length + 512),
      };
      await t.rejects(publishWith(disturbed), { message: /bytes of small than were sent: / });
      await publishWith(real);
    },
  );

  await t.test("an error names a file that changes while it or another file is uploaded", async (t) => {
    await writeFile(join(tree, "small"), "55555555");
    const meanwhile = (work: () => Promise<void>): IcbootWriter => ({
      put: real.put,
      async setlen(name, length) {
        await work();
        await real.setlen(name, length);
      },
    });
    await t.rejects(publishWith(meanwhile(() => writeFile(join(tree, "other"), bytesOf(6, MiB)))), {
      name: "UserError",
      message: `${tree} changed while it was being published, and the canister has some files as they were: publish again when nobody writes to it\n  other: it was written to, `,
    });
    await publishWith(real);
    await writeFile(join(tree, "large"), bytesOf(7, 3 * MiB));
    const put: IcbootWriter["put"] = async (name, offset, bytes) => {
      if (offset === MiB) await writeFile(join(tree, "large"), bytesOf(8, 3 * MiB));
      await real.put(name, offset, bytes);
    };
    await t.rejects(publishWith({ ...real, put }), {
      name: "UserError",
      message:
        /^a file changed while it was being published \(large: it was written to, .*\): publish again$/,
    });
    await publishWith(real);
    t.same(differing(await filesOf(c), await filesIn(tree)), []);
  });

  await t.test("nothing is uploaded when the directory changes while it is compared", async (t) => {
    const added = async (method: string, arg: Uint8Array) => {
      if (method === "listing") await writeFile(join(tree, "another"), "");
      return call(method, arg);
    };
    await t.rejects(publishWith({ put: t.fail, setlen: t.fail } as unknown as IcbootWriter, added), {
      name: "UserError",
      message:
        /cannot be published; nothing was uploaded:\n {2}the directory itself: something in it was added/,
    });
    await rm(join(tree, "another"));
  });

  await t.test("calls whose answers get lost are repeated", async (t) => {
    await writeFile(join(tree, "large"), bytesOf(60, 3 * MiB));
    await writeFile(join(tree, "other"), bytesOf(61, MiB + 1));
    let calls = 0;
    const underWay = new Set<string>();
    const losing = async (name: string, work: Promise<void>) => {
      t.notOk(underWay.has(name), "one call at a time for a file");
      underWay.add(name);
      await work;
      underWay.delete(name);
      calls += 1;
      if (calls % 2 === 1) throw new Error("fetch failed");
    };
    const canister: IcbootWriter = {
      put: (name, offset, bytes) => losing(name, real.put(name, offset, bytes)),
      setlen: (name, length) => losing(name, real.setlen(name, length)),
    };
    t.match(await publishWith(canister), { filesUploaded: 2 });
    t.ok(calls > 7, `${calls} calls`);
    t.same(differing(await filesOf(c), await filesIn(tree)), []);
  });

  await t.test("when a node is behind, the uploaded bytes are read again", async (t) => {
    await writeFile(join(tree, "small"), "87654321");
    const answers: Uint8Array[] = [];
    const behind = async (method: string, arg: Uint8Array) => {
      const reply = await call(method, arg);
      // Parts of the other files may be as small, and may come at any time.
      if (method !== "get" || !Buffer.from(arg).includes("small")) return reply;
      answers.push(reply);
      return answers.length <= 3 ? answers[0]! : reply;
    };
    t.match(await publishWith(real, behind), { filesUploaded: 1 });
    t.equal(answers.length, 4, "the file is read once before the upload and three times after it");
  });

  await t.test("more names than the canister could list are refused", async (t) => {
    const names = Array.from({ length: 40_000 }, (_, i): [string, bigint] => [`${"n".repeat(40)}${i}`, 1n]);
    const listing = IDL.encode([IDL.Vec(IDL.Tuple(IDL.Text, IDL.Nat))], [names]);
    await t.rejects(
      publishWith(real, async () => listing),
      { message: /^the canister could not list its files any more, with 40004 names of \d+ bytes in all/ },
    );
  });

  await t.test("a refusal is final, and waiting files are not sent", async (t) => {
    for (let i = 0; i < 20; i++) await writeTree(tree, { [`new-${i}`]: "x" });
    let puts = 0;
    const refuse = async () => {
      puts += 1;
      throw new HttpStatusError(400, "HTTP status 400 Bad Request: no such thing");
    };
    await t.rejects(publishWith({ put: refuse, setlen: refuse }), {
      message: /^the canister did not take new-\d+: HTTP status 400 Bad Request: no such thing$/,
    });
    t.ok(puts <= 8, `${puts} requests were sent`);
  });
});
