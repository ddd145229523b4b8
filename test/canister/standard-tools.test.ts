/** The canister with the IC's own tools: icp-cli, which is another client, written in Rust, builds, installs and calls it. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { startCanister } from "../support/canister-network.ts";

const ICP = fileURLToPath(new URL("../../node_modules/@icp-sdk/icp-cli-linux-x64/bin/icp", import.meta.url));
const DIRECTORY = fileURLToPath(new URL("../../canister", import.meta.url));

/** Runs icp in canister/, with a home of its own. */
function icp(home: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, HOME: home, DO_NOT_TRACK: "1", NO_COLOR: "1" };
  return new Promise((resolve) => {
    execFile(ICP, args, { cwd: DIRECTORY, env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : 1, stdout, stderr });
    });
  });
}

t.test("icp-cli builds, installs, upgrades and calls it", async (t) => {
  const { url, rootKey, directory, canister, env, icfs } = await startCanister(t);
  const id = canister.toText();
  const network = ["-n", url, "-k", Buffer.from(rootKey).toString("hex")];
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await icp(directory, ...args);
    t.equal(code, 0, `icp ${args[0]} ${args[1]}`, { stderr });
    return stdout;
  };
  await ok("project", "show");
  const pem = join(env.XDG_CONFIG_HOME!, "icfs", "identity.pem");
  await ok("identity", "import", "me", "--from-pem", pem, "--storage", "plaintext");
  const asMe = [...network, "--identity", "me"];

  const wasm = fileURLToPath(new URL("../../build/icfs.wasm", import.meta.url));
  for (const mode of ["upgrade", "reinstall"]) {
    await ok("canister", "install", id, "--mode", mode, "--wasm", wasm, "--args", "(null)", "--yes", ...asMe);
  }
  const candid = await ok("canister", "metadata", id, "candid:service", ...network);
  t.match(candid, /publish: \(record/, "its Candid is public");
  const did = await readFile(new URL("../../build/icfs.did", import.meta.url), "utf8");
  t.match(did, /service : \(init: opt record \{owner: opt principal;\}\)/, "and so are its arguments");
  t.match(await ok("canister", "metadata", id, "candid:args", ...network), /owner/);

  t.match(await ok("canister", "call", id, "missing", "(vec {})", "--query", ...network), /vec \{\}/);
  const sha256 =
    "\\ba\\78\\16\\bf\\8f\\01\\cf\\ea\\41\\41\\40\\de\\5d\\ae\\22\\23\\b0\\03\\61\\a3\\96\\17\\7a\\9c\\b4\\10\\ff\\61\\f2\\00\\15\\ad";
  const put = await ok("canister", "call", id, "put", '(vec { blob "abc" })', ...asMe);
  t.ok(put.includes(sha256), "the SHA-256 of abc, certified", { put });
  const { code, stderr } = await icp(
    directory,
    "canister",
    "call",
    id,
    "put",
    '(vec { blob "abc" })',
    ...network,
  );
  t.equal(code, 1, "anonymous puts are refused", { stderr });
  t.match(await ok("canister", "status", id, ...asMe), /Status: Running/i);
  t.match((await icfs(["ls", id])).stderr, /has no release yet/, "icfs sees the canister that icp installed");
});
