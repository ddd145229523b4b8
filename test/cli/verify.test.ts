/** icfs verify of releases and directories, against a real canister. test/mount/pinned.long.ts verifies mounts. */
import { createHash } from "node:crypto";
import { chmod, mkdir, rm, symlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { startCanister, type TestCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { run, type Test } from "../support/icfs.ts";
import { treeOf } from "../support/icfs-canister.ts";
import { startMountable } from "../support/mountable.ts";

const MiB = 1024 * 1024;

const first = { "d/a": "a", "d/b": "b", large: bytesOf(1, 3 * MiB), z: "z" };

async function publish(c: TestCanister, tree: string): Promise<{ header: string; chunks: number }> {
  const { code, stdout, stderr } = await c.icfs(["publish", tree, c.canister.toText(), "--json"]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

async function startPublished(t: Test) {
  const c = await startCanister(t);
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, first);
  await symlink("d/a", join(tree, "link"));
  return { ...c, tree, published: await publish(c, tree), id: c.canister.toText() };
}

t.test("a release is verified, alone and against a directory", async (t) => {
  const c = await startPublished(t);
  const { id, tree, published } = c;
  const { header, chunks } = published;
  t.match(await c.icfs(["verify", id]), {
    code: 0,
    stdout: `release 1 of ${id} (${header}) is intact: 4 files, 3.1 MB, ${chunks} chunks verified, certified by the subnet\n`,
    stderr: "verifying: 3.1 MB\n",
  });
  const { code, stdout } = await c.icfs(["verify", id, tree, "--json"]);
  t.equal(code, 0);
  t.same(JSON.parse(stdout), {
    canister: id,
    source: "icfs",
    release: 1,
    header,
    verified: "certified",
    files: 4,
    bytes: 3 * MiB + 3,
    chunks,
    problems: [],
    differences: { added: [], changed: [], removed: [] },
  });
  t.match(await c.icfs(["verify", id, tree]), { code: 0, stdout: /by the subnet; .*\/tree is the same\n$/ });

  await t.test("differences in times are ignored, and all others reported", async (t) => {
    await utimes(join(tree, "z"), 1, 1);
    t.match(await c.icfs(["verify", id, tree]), { code: 0 });
    await writeTree(tree, { "d/a": "A", "d/new": "" });
    await chmod(join(tree, "d/b"), 0o755);
    await rm(join(tree, "link"));
    await symlink("d/b", join(tree, "link"));
    await rm(join(tree, "z"));
    t.match(await c.icfs(["verify", id, tree]), {
      code: 1,
      stdout: [
        "changed file      d/a (bytes)",
        "changed file      d/b (executable bit)",
        "added   file      d/new",
        "changed symlink   link (target)",
        "removed file      z",
        "",
      ].join("\n"),
      stderr: new RegExp(`\\nicfs: release 1 of ${id}: 5 differences\\n$`),
    });
    const json = await c.icfs(["verify", id, tree, "--json"]);
    t.equal(json.code, 1);
    t.match(JSON.parse(json.stdout), {
      problems: exactly(),
      differences: {
        added: exactly({ path: "d/new", kind: "file" }),
        changed: exactly({ path: "d/a" }, { path: "d/b" }, { path: "link" }),
        removed: exactly({ path: "z", kind: "file" }),
      },
    });
  });

  await t.test("an older release is verified after a newer one is published", async (t) => {
    await publish(c, tree);
    t.match(await c.icfs(["verify", id, tree]), { code: 0, stdout: /^release 2 of / });
    t.match(await c.icfs(["verify", `${id}@1`]), {
      code: 0,
      stdout: `release 1 of ${id} (${header}) is intact: 4 files, 3.1 MB, ${chunks} chunks verified, certified by the subnet\n`,
    });
    t.match(await c.icfs(["verify", `${id}@1`, tree]), { code: 1, stdout: /removed file {6}z\n/ });
  });

  await t.test(
    "a missing directory, a path that is not a mount, and a wrong id or release are errors",
    async (t) => {
      t.match(await c.icfs(["verify", id, join(c.directory, "absent")]), {
        code: 1,
        stdout: "",
        stderr: /cannot read .*absent: ENOENT/,
      });
      t.match(await c.icfs(["verify", tree]), {
        code: 1,
        stderr: /tree is neither a canister id nor an icfs mount/,
      });
      t.match(await c.icfs(["verify", "nonsense"]), { code: 2, stderr: /"nonsense" is not a canister id/ });
      t.match(await c.icfs(["verify", `${id}@X`]), {
        code: 2,
        stderr: /"X" is not a release: give a number/,
      });
    },
  );

  await t.test("a named pipe in the directory is reported as a problem", async (t) => {
    await run("mkfifo", [join(tree, "pipe")], { env: c.env });
    t.match(await c.icfs(["verify", id, tree]), {
      code: 1,
      stdout: /^.*\/tree: pipe: it is a named pipe[^\n]*\n$/,
      stderr: /: 1 problem\n$/,
    });
  });
});

t.test("when a chunk always arrives wrong, verify names its file and checks the others", async (t) => {
  const c = await startPublished(t);
  const { id } = c;
  const proxy = await startFaultProxy(t as never, c.url);
  const bad = createHash("sha256")
    .update(first.large.subarray(MiB, 2 * MiB))
    .digest();
  proxy.fault = (_, body) => (body.includes(bad) ? "flip" : "none");
  const { code, stdout, stderr } = await c.icfs(["verify", id, "--network", proxy.url, "--json"]);
  t.equal(code, 1);
  t.match(stderr, /: 1 problem\n$/);
  const { problems } = JSON.parse(stdout);
  t.equal(problems.length, 1);
  t.match(problems[0], /^large: /);
  proxy.fault = () => "none";
  t.match(
    await c.icfs(["verify", id, "--network", proxy.url]),
    { code: 0 },
    "the release verifies when its chunks arrive right",
  );
});

t.test("verify and cat report a file whose SHA-256 in the manifest is wrong", async (t) => {
  const c = await startCanister(t);
  const canister = icfsCanister(c.publisherAgent, c.canister);
  const { manifest, chunks } = treeOf({ good: "good", wrong: "wrong" });
  const entries = manifest.entries.map((entry) =>
    entry.path === "wrong" ? { ...entry, sha256: new Uint8Array(32) } : entry,
  );
  const bytes = Buffer.concat(encodeManifest({ ...manifest, entries }));
  const [piece] = await canister.put([bytes]);
  await canister.put(chunks);
  t.match(await canister.publish({ manifest: [piece!], parent: [], note: "" }), { ok: 1n });
  const { code, stdout } = await c.icfs(["verify", c.canister.toText()]);
  t.equal(code, 1);
  t.match(stdout, /^wrong: the file's SHA-256 is [0-9a-f]{64}, and the manifest says 0{64}\n$/);
  const cat = await c.icfs(["cat", c.canister.toText(), "wrong"]);
  t.match(cat, { code: 1, stdout: "", stderr: /^icfs: wrong: the file's SHA-256 is/ });
});

t.test(
  "a mount is verified on its own network, not the default, unless --network names another",
  async (t) => {
    const c = await startMountable(t);
    await c.publish(first);
    const { mountpoint } = await c.mount();
    await c.publish({ z: "newer" });
    const dead = "http://127.0.0.1:1";
    const env: NodeJS.ProcessEnv = { ...c.env, ICFS_NETWORK: dead, ICFS_ROOT_KEY: "nonsense" };
    const all = [{ env }, { env: { ...env, ICFS_NETWORK: "ic", ICFS_ROOT_KEY: "", ICFS_SOURCE: "assets" } }];
    for (const options of all) {
      const { code, stdout, stderr } = await c.icfs(["verify", mountpoint], options);
      t.equal(code, 0, stderr);
      t.match(
        stdout,
        new RegExp(`^release 1 of ${c.id} .*; ${mountpoint} is the same\\n$`),
        "the mounted release is verified, not the newest",
      );
    }
    t.match(await c.icfs(["verify", mountpoint, "--network", dead], { env: c.env }), {
      code: 1,
      stdout: "",
      stderr: `icfs: no network answers at ${dead}`,
    });
    const elsewhere = await startCanister(t);
    t.match(await c.icfs(["verify", mountpoint, "--network", elsewhere.url], { env: c.env }), { code: 1 });
  },
);
