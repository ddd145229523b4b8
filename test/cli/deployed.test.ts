/** The record of deployed canisters survives a power cut, and two deployments at once. A damaged record is no reason to fail. */
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { deployedOn, rememberDeployed } from "../../lib/cli/deployed.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const ROOT_KEY = Buffer.alloc(133, 1);
const [ONE, OTHER, THIRD] = [
  "rwlgt-iiaaa-aaaaa-aaaaa-cai",
  "rrkah-fqaaa-aaaaa-aaaaq-cai",
  "ryjl3-tyaaa-aaaaa-aaaba-cai",
] as const;

t.test("deployed canisters", async (t) => {
  const directory = await temporaryDirectory(t);
  const { XDG_STATE_HOME } = process.env;
  t.teardown(() => {
    delete process.env.XDG_STATE_HOME;
    if (XDG_STATE_HOME !== undefined) process.env.XDG_STATE_HOME = XDG_STATE_HOME;
  });
  process.env.XDG_STATE_HOME = directory;
  t.same(await deployedOn(ROOT_KEY), []);
  await rememberDeployed(ONE, ROOT_KEY);
  await Promise.all([OTHER, THIRD].map((one) => rememberDeployed(one, ROOT_KEY)));
  const all = await deployedOn(ROOT_KEY);
  t.same([all[0], ...all.slice(1).sort()], [ONE, OTHER, THIRD]);
  const [name] = (await readdir(join(directory, "icfs/deployed"))).filter((one) => /^[0-9a-f]+$/.test(one));
  const file = join(directory, "icfs/deployed", name!);
  t.equal(await readFile(file, "utf8"), `${all.join("\n")}\n`);

  for (const damaged of [`${ONE}\n${OTHER.slice(0, 9)}`, `${ONE}\n${"\0".repeat(28)}`, `${ONE}\nnot one\n`]) {
    await writeFile(file, damaged);
    t.same(await deployedOn(ROOT_KEY), [ONE], JSON.stringify(damaged));
    await rememberDeployed(OTHER, ROOT_KEY);
    t.same(await deployedOn(ROOT_KEY), [ONE, OTHER], "the next canister is added to a damaged record");
  }
  await rm(file);
  execFileSync("mkfifo", [file]);
  t.same(await deployedOn(ROOT_KEY), [], "a pipe in place of the record is not waited for");
  await t.rejects(rememberDeployed(ONE, ROOT_KEY), { message: /is not a file/ });
  await rm(file);
  await mkdir(file);
  await t.rejects(rememberDeployed(ONE, ROOT_KEY), { message: /is not a file/ });
});
