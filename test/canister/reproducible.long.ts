/** The canister's Wasm is the same wherever it is built, so that anybody can tell by its hash what a canister runs. */
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { run, temporaryDirectory } from "../support/icfs.ts";

const CANISTER = fileURLToPath(new URL("../../canister", import.meta.url));

t.test("a build in another directory is byte for byte the same as that of `make canister`", async (t) => {
  const directory = await temporaryDirectory(t);
  const sources = join(directory, "some where/else");
  // Copied in another order, the files have other times and inodes.
  const names = (await readdir(CANISTER)).filter((name) => name.endsWith(".mo")).reverse();
  for (const name of names) await cp(join(CANISTER, name), join(sources, name));
  const out = join(directory, "out.wasm");
  const built = await run(process.execPath, [join(CANISTER, "compile.ts"), join(sources, "main.mo"), out], {
    env: { ...process.env, TZ: "Asia/Kathmandu", LC_ALL: "C" },
    cwd: directory,
    limit: 300_000,
  });
  t.equal(built.code, 0, built.stderr);
  const build = new URL("../../build/", import.meta.url);
  t.ok((await readFile(out)).equals(await readFile(new URL("icfs.wasm", build))), "icfs.wasm");
  t.equal(
    await readFile(join(directory, "out.did"), "utf8"),
    await readFile(new URL("icfs.did", build), "utf8"),
  );
});
