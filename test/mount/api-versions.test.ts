/** A mount whose gateway changes to other versions of the IC's HTTP interface while the mount lives, in either direction. */
import t from "tap";
import { startMountable } from "../support/mountable.ts";
import { eventually, HUNG, sh } from "./mounts.ts";

t.setTimeout(10 * HUNG);

/** The endpoints of a gateway that knows only the deprecated versions, and of one that has dropped them. */
const HAS = {
  old: /^\/api\/v(2\/.*\/(query|read_state|call)|3\/.*\/call)$/,
  new: /^\/api\/v(3\/.*\/(query|read_state)|[24]\/.*\/call)$/,
};

t.test("a mount follows its canister when the gateway changes its API versions", async (t) => {
  const c = await startMountable(t, { api: "both" });
  let gateway: keyof typeof HAS = "old";
  const answered = { old: 0, new: 0, refused: 0 };
  c.proxy.everywhere = true;
  c.proxy.fault = (path) => {
    if (/^\/api\/v2\/status$/.test(path)) return "none";
    if (!HAS[gateway].test(path)) {
      answered.refused += 1;
      return { status: 404, body: "no such path" };
    }
    answered[gateway] += 1;
    return "none";
  };
  const first = { file: "release 1\n", unread: "of release 1\n" };
  await c.publish(first);
  const { at, status } = await c.mount("--refresh", "0.3", "--quiet", "0", "--prefetch", "none");
  t.equal((await sh("cat", at("file"))).stdout, first.file);
  let release = 1;
  for (gateway of ["new", "old", "new"] as const) {
    const before = { ...answered };
    t.match(await sh("cat", at("unread")), { code: 0, stdout: `of release ${release}\n` }, gateway);
    release += 1;
    await c.publish({ file: `release ${release}\n`, unread: `of release ${release}\n` });
    await eventually(`release ${release} is live`, async () => (await status()).release === release);
    t.match(await sh("cat", at("file")), { code: 0, stdout: `release ${release}\n` }, gateway);
    t.ok(answered[gateway] > before[gateway], `requests are answered at the ${gateway} endpoints`);
    t.ok(answered.refused > before.refused, "the endpoints used before are tried first");
    const { refused } = answered;
    const asked = answered[gateway];
    await eventually("it looks for the next release", async () => answered[gateway] > asked + 3);
    t.ok(answered.refused <= refused + 1, "the endpoints that answer are remembered");
  }
  t.match((await status()).cache, { failures: 0 }, "no read has failed meanwhile");
});
