/** icfs url, which asks no network. */
import t from "tap";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";
const env = cleanEnvironment(await temporaryDirectory(t));
const url = (...args: string[]) => run(BIN, ["url", ...args], { env });

t.test("URLs of a canister, a file and a release", async (t) => {
  const printed = async (...args: string[]) => {
    const { code, stdout, stderr } = await url(...args);
    t.strictSame({ code, stderr }, { code: 0, stderr: "" });
    return stdout;
  };
  t.equal(await printed(ID), `https://${ID}.icp0.io/\n`);
  t.equal(await printed(`${ID}/pxelinux.cfg/a b`), `https://${ID}.icp0.io/pxelinux.cfg/a%20b\n`);
  t.equal(await printed(`${ID}@3/linux`), `https://${ID}.icp0.io/.icfs/at/3/linux\n`);
  t.equal(await printed(`${ID}@3`, "--network", "local"), `http://${ID}.localhost:4943/.icfs/at/3/\n`);
  t.match(await url(`${ID}@stable/linux`), {
    code: 0,
    stdout: new RegExp(`^https://${ID}\\.icp0\\.io/(?:@|%40)stable/linux\n$`),
    stderr: /the redirect is not/,
  });
  t.same(JSON.parse(await printed(ID, "--json")), { canister: ID, url: `https://${ID}.icp0.io/` });
});

t.test("wrong usage", async (t) => {
  for (const wrong of ["nonsense", `${ID}@X/a`, `${ID}/a/../b`, `${ID}/.`])
    t.match(await url(wrong), { code: 2, stdout: "", stderr: /^icfs: / }, wrong);
});
