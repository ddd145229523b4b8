/** icp-cli, one of the IC's own tools, builds, installs and calls the canister. It is an independent client, written in Rust. */
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Cbor } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { CYCLES_LEDGER } from "../../lib/ic/cycles-ledger.ts";
import { certifiedAt } from "../../lib/ic/read-state.ts";
import { startCanister, startNetwork, type TestNetwork } from "../support/canister-network.ts";
import { startLedgerTwin } from "../support/cycles-ledger.ts";

const ICP = fileURLToPath(new URL("../../node_modules/@icp-sdk/icp-cli-linux-x64/bin/icp", import.meta.url));
const DIRECTORY = fileURLToPath(new URL("../../canister", import.meta.url));

/** After so many milliseconds, icp is taken to hang. */
const LONG = 180_000;

/** Runs icp in a project's directory, with a home of its own. */
function icpIn(
  project: string,
  home: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, HOME: home, DO_NOT_TRACK: "1", NO_COLOR: "1" };
  return new Promise((resolve) => {
    execFile(ICP, args, { cwd: project, env, timeout: LONG }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : 1, stdout, stderr });
    });
  });
}

const icp = (home: string, ...args: string[]) => icpIn(DIRECTORY, home, ...args);

t.test("icp-cli upgrades, reinstalls and calls the canister", async (t) => {
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
  t.match(
    did,
    /service : \(init: opt record \{owner: opt principal;\}\)/,
    "the Candid file declares the init arguments",
  );
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

t.test("icp deploy installs the canister, and then upgrades it", async (t) => {
  const n = await startNetwork(t);
  const ledger = await startLedgerTwin(n);
  const owner = Principal.fromText((await n.icfs(["identity"])).stdout.trim());
  await ledger.twin_mint(owner, 10n ** 13n);
  // The project is copied, because icp writes the ids of its canisters into it.
  const project = join(n.directory, "canister");
  for (const file of ["canister/icp.yaml", "build/icfs.wasm", "build/icfs.did"]) {
    await cp(new URL(`../../${file}`, import.meta.url), join(n.directory, file));
  }
  const yaml = await readFile(join(project, "icp.yaml"), "utf8");
  t.match(yaml, "url: http://127.0.0.1:4943\n", "icp.yaml has the URL of icfs localnet");
  await writeFile(join(project, "icp.yaml"), yaml.replace("http://127.0.0.1:4943", n.url));
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await icpIn(project, n.directory, ...args);
    t.equal(code, 0, `icp ${args.join(" ")}`, { stdout, stderr });
    return stdout;
  };
  const pem = join(n.env.XDG_CONFIG_HOME!, "icfs", "identity.pem");
  await ok("identity", "import", "me", "--from-pem", pem, "--storage", "plaintext");
  const deploy = ["deploy", "-e", "localnet", "--identity", "me", "--subnet", await subnetOf(n), "--json"];
  const first = await ok(...deploy);
  t.equal(await ledger.twin_payments(), 1n, "the ledger's twin has recorded one payment");
  const [id] = /[a-z0-9-]+-cai/.exec(first) ?? [];
  t.ok(id, first);
  const tree = join(n.directory, "tree");
  await mkdir(tree);
  await writeFile(join(tree, "file"), "content");
  t.match(await n.icfs(["publish", tree, id!]), { code: 0, stdout: /^published release 1 / });
  await ok(...deploy, "--yes");
  t.equal(await ledger.twin_payments(), 1n);
  t.match(
    await n.icfs(["cat", id!, "file"]),
    { code: 0, stdout: "content" },
    "the upgraded canister keeps its files",
  );
  t.match(
    await n.icfs(["deploy", id!]),
    { code: 0, stderr: `upgraded ${id}` },
    "icfs deploy upgrades the canister that icp installed",
  );

  // `icfs localnet` has no ledger, so the canister is linked instead of made.
  await rm(join(project, ".icp"), { recursive: true });
  await ok("canister", "link", "icfs", id!, "-e", "localnet");
  await ok("deploy", "-e", "localnet", "--identity", "me", "--yes");
  t.equal(await ledger.twin_payments(), 1n);
});

/** The network's subnet, as text. icp would ask the cycles minting canister for it, which this network does not have. */
async function subnetOf({ url, rootKey, network }: TestNetwork): Promise<string> {
  const agent = createAgent({ network, rootKey, verifyQuerySignatures: true, requestTimeout: 30_000 });
  const certificate = await certifiedAt(
    agent,
    CYCLES_LEDGER,
    ["controllers"],
    async (certificate) => certificate,
  );
  const { delegation } = Cbor.decode<{ delegation: { subnet_id: Uint8Array } }>(certificate);
  t.ok(delegation, url);
  return Principal.fromUint8Array(delegation.subnet_id).toText();
}
