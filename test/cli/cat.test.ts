/** icfs cat, against a real canister on a local network. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import { BIN, run } from "../support/icfs.ts";

const MiB = 1024 * 1024;

t.test("icfs cat", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  const large = bytesOf(1, 20 * MiB + 7);
  await writeTree(tree, { "d/text": "grüße\n", "d/empty": "", large });
  await symlink("d", join(tree, "link"));
  await symlink("../link/text", join(tree, "d/far"));
  const published = await c.icfs(["publish", tree, id]);
  t.equal(published.code, 0, published.stderr);

  await t.test("prints small files, also through symlinks, and nothing else", async (t) => {
    for (const path of ["d/text", "/d/text", "link/text", "d/far"]) {
      t.same(await c.icfs(["cat", id, path]), { code: 0, stdout: "grüße\n", stderr: "" }, path);
    }
    t.same(await c.icfs(["cat", id, "d/empty"]), { code: 0, stdout: "", stderr: "" });
  });

  await t.test("prints every byte of a large file, and prefetches its chunks", async (t) => {
    const proxy = await startFaultProxy(t, c.url);
    let asked = 0;
    const child = spawn(BIN, ["cat", id, "large", "--network", proxy.url], { env: c.env });
    t.teardown(() => void child.kill("SIGKILL"));
    const hash = createHash("sha256");
    let size = 0;
    proxy.fault = faultFor("chunk", () => {
      // Without fetching ahead, two chunks would be requested before the first byte: cat prints a piece once it has the next.
      if (size === 0) asked += 1;
      return "none";
    });
    for await (const bytes of child.stdout) {
      hash.update(bytes);
      size += bytes.length;
    }
    t.equal(size, large.length);
    t.equal(hash.digest("hex"), createHash("sha256").update(large).digest("hex"));
    t.ok(asked > 3, `${asked} chunks are requested before the first byte is printed`);
  });

  await t.test("prints no error message when its reader stops early", async (t) => {
    const command = `"${BIN}" cat ${id} large | head -c 3 | wc -c; exit "\${PIPESTATUS[0]}"`;
    const { code, stdout, stderr } = await run("bash", ["-c", command], { env: c.env });
    t.same({ code, stdout, stderr }, { code: 141, stdout: "3\n", stderr: "" });
  });

  await t.test("refuses paths that are not files", async (t) => {
    for (const [path, problem] of [
      ["absent", "not in release 1"],
      ["d/text/below", "not in release 1"],
      ["d", "is a directory"],
      ["link", "is a directory"],
      ["", "is a directory"],
    ] as const) {
      const stderr = `icfs: ${path}: ${problem}\n`;
      t.same(await c.icfs(["cat", id, path]), { code: 1, stdout: "", stderr });
    }
  });

  await t.test("prints no bytes that do not verify, and fails", async (t) => {
    const proxy = await startFaultProxy(t, c.url);
    const third = createHash("sha256")
      .update(large.subarray(2 * MiB, 3 * MiB))
      .digest();
    let asked = 0;
    proxy.fault = (_, body) => {
      if (!body.includes(third)) return "none";
      asked += 1;
      return "flip";
    };
    const target = join(c.directory, "out");
    const { code, stderr } = await run(
      "bash",
      ["-c", `"${BIN}" cat ${id} large --network ${proxy.url} > ${target}`],
      { env: c.env },
    );
    t.equal(code, 1);
    t.match(stderr, /^icfs: large: .+\n$/);
    const { stdout } = await run("sha256sum", [target], { env: c.env });
    const before = createHash("sha256").update(large.subarray(0, MiB)).digest("hex");
    t.equal(stdout.slice(0, 64), before, "the output ends one piece before the bad chunk");
    t.ok(asked >= 3, `the bad chunk is requested ${asked} times`);
  });
});
