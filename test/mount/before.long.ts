/**
 * The icfs from before the canister served HTTP, over a canister that is upgraded under it: its mount still reads and follows, and it
 * still publishes. before/ has the program of commit a581220, since a checkout need not have the history: bundled with its dependencies
 * (@dfinity/agent 3.4.3), and otherwise unchanged. It was made at that commit by `npm ci --omit=dev`, and
 *
 *     esbuild lib/cli/main.ts WORKER --bundle --platform=node --target=node24 --format=esm --minify --outdir=out \\
 *       --entry-names=[name] --external:fuse-native \\
 *       --banner:js='import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);'
 *
 * where WORKER is bls-worker, the module of the thread that checks signatures. There the agent's bls.js was imported by its path, because
 * the module otherwise looks for it at run time. LICENSES.txt beside them has the licences of what is bundled.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";
import t from "tap";
import { startCanister } from "../support/canister-network.ts";
import { HUNG, run } from "../support/icfs.ts";
import { eventually, mountpointFor, sh } from "./mounts.ts";

t.setTimeout(30 * HUNG);

const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));

t.test("a mount by an earlier version survives the canister's upgrade and follows releases", async (t) => {
  // The old program needs the IC's older endpoints.
  const wasm = new URL("../canister/before/third.wasm", import.meta.url);
  const c = await startCanister(t, { api: "both" }, wasm);
  const directory = join(c.directory, "before");
  await mkdir(directory);
  for (const name of ["main.js", "bls-worker.js"]) {
    const packed = await readFile(new URL(`before/${name}.br`, import.meta.url));
    await writeFile(join(directory, name), await promisify(brotliDecompress)(packed));
  }
  await writeFile(join(directory, "package.json"), `{"name":"icfs","version":"0.1.0","type":"module"}`);
  const before = (...args: string[]) =>
    run(process.execPath, ["--expose-gc", join(directory, "main.js"), ...args], { env: c.env });
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  const write = async (release: number) => {
    await writeFile(join(tree, "number"), `release ${release}\n`);
    await writeFile(join(tree, `of-${release}`), Buffer.alloc(1_500_000, release));
  };

  await write(1);
  t.match(await before("publish", tree, id), { code: 0 });
  const mountpoint = await mountpointFor(t);
  const options = ["--refresh", "1", "--quiet", "1", "--log-file", join(c.directory, "log")];
  t.match(await before("mount", id, mountpoint, ...options), { code: 0 });
  t.match(await sh("diff", "-r", tree, mountpoint), { code: 0 });

  t.match(await c.icfs(["status", id]), { code: 0, stdout: /^ {2}program {6}icfs before 0\.2\.0$/m });
  t.match(JSON.parse((await c.icfs(["status", id, "--json"])).stdout), { version: null });
  t.match(await c.icfs(["deploy", id]), { code: 0 });
  const status = await c.icfs(["status", id, "--json"]);
  t.match(
    JSON.parse(status.stdout),
    { version, url: `http://${id}.localhost:${new URL(c.url).port}/` },
    "the upgraded canister reports this version and its URL",
  );
  // Features that the old program does not know.
  t.match(await c.icfs(["promote", id, "1", "stable"]), { code: 0 });
  t.match(await c.icfs(["grant", id, c.identity.getPrincipal().toText(), "promoter"]), { code: 0 });
  t.match(await before("roles", id), { code: 0 });
  // Chunks that the old program has not read yet come from the upgraded canister.
  t.match(await before("cache", "clear"), { code: 0 });
  t.match(await before("verify", id, tree), { code: 0 });
  t.match(await sh("diff", "-r", tree, mountpoint), { code: 0 });

  const follows = async (release: number) => {
    // Reading a file would delay the switch.
    const isThere = async () => {
      const { stdout } = await before("status", mountpoint, "--json");
      return JSON.parse(stdout)[0]?.release === release;
    };
    await eventually(`the mount from before has release ${release}`, isThere);
    t.match(await sh("diff", "-r", tree, mountpoint), { code: 0 });
  };
  await write(2);
  t.match(await c.icfs(["publish", tree, id]), { code: 0 });
  await follows(2);
  await write(3);
  t.match(await before("publish", tree, id), { code: 0 });
  await follows(3);
  t.match(await c.icfs(["verify", id, tree]), { code: 0 });
  t.match(await before("umount", mountpoint), { code: 0 });
});
