/** icfs keep and configure: which releases a canister holds, and how much it accepts. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { type OwnedCanister, startOwnedCanister } from "../support/people.ts";

const states = async (c: OwnedCanister) => (await c.releases()).map(({ state }) => state).join(" ");

t.test("kept releases are held, and others are dropped as the settings say", async (t) => {
  const c = await startOwnedCanister(t);
  const { id } = c;
  await c.publish("1");
  await c.publish("2");
  await c.publish("3");
  t.equal(await states(c), "held held held");
  t.equal(await c.owner("keep", id, "1"), `release 1 of ${id} is kept: the canister holds it for good\n`);
  t.equal(await states(c), "held held kept");
  await c.owner("configure", id, "--hold-newest", "1", "--hold-days", "0");
  t.equal(await states(c), "held dropped kept");

  t.match(await c.icfs(["rollback", id, "2"]), {
    code: 1,
    stderr: "icfs: the canister refused the release: release 2 is not held (any more)\n",
  });
  t.match(await c.icfs(["keep", id, "2"]), {
    code: 1,
    stderr: "icfs: the canister did not keep the release: release 2 is not held (any more)\n",
  });
  t.match(await c.icfs(["keep", id, "7"]), { code: 1, stderr: /release 7 is not held/ });
  t.match(await c.icfs(["keep", id, "first"]), { code: 2 });
  const ann = await c.person("ann", "ed25519");
  await c.owner("grant", id, ann.principal, "publisher");
  for (const args of [
    ["keep", id, "3"],
    ["keep", id, "1", "--no"],
  ]) {
    t.match(
      await ann.icfs(...args),
      { code: 1, stderr: /only its owners can/ },
      "a publisher may not change which releases are kept",
    );
  }

  t.match(await c.owner("keep", id, "1", "--no"), `release 1 of ${id} is not kept any more: `);
  t.equal(await states(c), "held dropped dropped");
  await c.owner("keep", id, "3");
  await c.publish("4");
  t.equal(await states(c), "held kept dropped dropped");
});

t.test("settings", async (t) => {
  const c = await startOwnedCanister(t);
  const { id } = c;
  const settings = async (...changes: string[]) =>
    JSON.parse(await c.owner("configure", id, ...changes, "--json"));
  const standard = {
    private: false,
    http: true,
    quota: 107_374_182_400,
    unpublishedQuota: 34_359_738_368,
    holdNewest: 8,
    holdDays: 7,
  };
  t.same(await settings(), standard);
  t.match(await c.owner("configure", id), /^quota +100 GiB\nunpublished quota +32 GiB for each publisher$/m);
  t.same(await settings("--quota", "2GiB", "--hold-newest", "3"), {
    ...standard,
    quota: 2 ** 31,
    holdNewest: 3,
  });
  const changed = {
    private: true,
    http: true,
    quota: 2 ** 31,
    unpublishedQuota: 1_500_000,
    holdNewest: 3,
    holdDays: 30,
  };
  t.same(await settings("--unpublished-quota", "1.5 MB", "--hold-days", "30", "--private"), changed);
  const identity = ["--identity", join(c.env.XDG_CONFIG_HOME!, "icfs", "identity.pem")];
  t.same(await settings(...identity), changed, "the settings are unchanged when none is given");
  t.same(await settings("--public", "--no-http"), { ...changed, private: false, http: false });
  t.equal(
    await c.owner("configure", id),
    "may read           anybody\n" +
      "HTTP               off\n" +
      "quota              2 GiB\n" +
      "unpublished quota  1.5 MB for each publisher\n" +
      "held releases      the newest 3, those of the last 30 days, and those that are kept\n",
  );

  await t.test("a publication over the quota is refused, and nothing is lost", async (t) => {
    await c.publish("small");
    await settings("--quota", "1000");
    await writeTree(c.tree, { file: Buffer.alloc(2000, "x").toString() });
    t.match(await c.icfs(["publish", c.tree, id]), {
      code: 1,
      stdout: "",
      stderr: /icfs: the canister did not publish: over quota: the canister stores at most 1_?000 bytes/,
    });
    t.match(await c.icfs(["cat", id, "file"]), { code: 0, stdout: "small" });
  });

  await t.test("status of the canister", async (t) => {
    const asked = JSON.parse(await c.owner("status", id, "--json"));
    t.match(asked, { canister: id, release: 1, held: 1, kept: 0, quota: 1000, backlog: 0 });
    const web = async () => /^ {2}on the web {3}(.*)$/m.exec(await c.owner("status", id))?.[1];
    t.match(asked, { url: null, webRelease: 0 }, "status has no URL while HTTP is switched off");
    t.match(await web(), /^no: an owner has switched it off/);
    await c.owner("configure", id, "--http");
    const url = `http://${id}.localhost:${new URL(c.url).port}/`;
    t.equal((await web())?.split(",")[0], url);
    t.match(JSON.parse(await c.owner("status", id, "--json")), { url });
    t.match(await c.icfs(["status", id]), { code: 0, stdout: /^ {2}to be freed {2}nothing$/m });
    const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
    t.equal(asked.version, version, "the canister reports the version that it was compiled from");
    t.match(await c.owner("status", id), `\n  program      icfs ${version}\n`);
  });

  await t.test("the longest holding time is accepted", async () => {
    await settings("--quota", "1GiB", "--hold-newest", "1", "--hold-days", "200000");
    for (let i = 0; i < 3; i++) await c.publish(`held for ever ${i}`);
    await settings("--quota", "1000", "--hold-newest", "3", "--hold-days", "30");
  });

  await t.test("wrong usage", async (t) => {
    const wrong = [
      ["--private", "--public"],
      ["--quota", "much"],
      ["--quota", "-1"],
      ["--quota", "99999999TiB"],
      ["--hold-newest", "0"],
      ["--quota", "0"],
      ["--unpublished-quota", "0KiB"],
      ["--hold-newest", "100001"],
      ["--hold-newest", "4294967296"],
      ["--hold-days", "1.5"],
      ["--hold-days", "200001"],
    ];
    for (const args of wrong)
      t.match(await c.icfs(["configure", id, ...args]), { code: 2, stdout: "" }, args.join(" "));
    t.match(await settings(), { private: false, quota: 1000, holdNewest: 3 });
  });
});
