/** icfs configure reads the settings that it keeps from the whole subnet, not from a single node. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { startCanister } from "../support/canister-network.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";

t.test("settings that stay are written back as the whole subnet certifies them", async (t) => {
  const c = await startCanister(t);
  const proxy = await startFaultProxy(t, c.url);
  const configure = (...options: string[]) =>
    c.icfs(["configure", c.canister.toText(), ...options, "--json"], {
      env: { ...c.env, ICFS_NETWORK: proxy.url },
    });
  t.match(await configure("--hold-newest", "5"), { code: 0, stderr: "" });
  t.equal(proxy.queries, 0, "no query is sent to a single node");
  t.equal(proxy.calls, 2);
  const { code, stdout } = await configure("--quota", "1GiB");
  t.equal(code, 0);
  t.match(JSON.parse(stdout), { holdNewest: 5, holdDays: 7, quota: 2 ** 30, private: false });

  // An older canister refuses `status` as an update call.
  proxy.fault = (path, body) =>
    path.endsWith("/call") && body.includes("status") ? { status: 403, body: "" } : "none";
  t.match(await configure("--hold-newest", "6"), { code: 1, stderr: /did not tell its settings/ });
  proxy.fault = () => "none";
  t.match(
    await configure(),
    { code: 0, stdout: /"holdNewest":5/ },
    "configure without options prints the unchanged settings",
  );
});

t.test("HTTP is switched off and on again, and nothing else changes", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const configure = async (...options: string[]) => {
    const { code, stdout, stderr } = await c.icfs(["configure", id, ...options, "--json"]);
    t.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const before = await configure("--hold-newest", "5");
  t.equal(before.http, true);
  t.strictSame(await configure("--no-http"), { ...before, http: false });
  t.strictSame(await configure(), { ...before, http: false }, "it is kept");
  t.match(await c.icfs(["status", id]), { code: 0, stdout: /an owner has switched it off/ });
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeFile(join(tree, "file"), "x");
  t.match(
    await c.icfs(["publish", tree, id]),
    { code: 0, stdout: /^published release 1 .*\n$/ },
    "no URL is printed while HTTP is off",
  );
  t.match(await c.icfs(["publish", tree, id, "--json"]), { code: 0, stdout: /"url":null/ });
  t.strictSame(await configure("--http"), before);
  t.strictSame(await configure(), before);
});
