/** CANISTER@N: an older release, mounted, listed and verified; and icfs verify of mounts. All above the transports. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { eventually, mountedAt, mountpointFor, sh } from "./mounts.ts";

const MiB = 1024 * 1024;

t.test("an older release", async (t) => {
  const c = await startCanister(t);
  const { icfs } = c;
  const id = c.canister.toText();
  const owner = icfsCanister(c.publisherAgent, c.canister);
  const trees = ["one", "two", "three"].map((name) => join(c.directory, name));
  const [one, two, three] = trees as [string, string, string];
  for (const tree of trees) await mkdir(tree);
  await writeTree(one, { "d/file": "first\n", large: bytesOf(1, 2 * MiB), gone: "gone\n" });
  await writeTree(two, { "d/file": "other\n", large: bytesOf(2, 2 * MiB + 1), new: "new\n" });
  await writeTree(three, { "d/file": "third\n" });
  const publish = async (tree: string) => {
    const { code, stderr } = await icfs(["publish", tree, id]);
    t.equal(code, 0, stderr);
  };
  const mount = async (name: string, ...options: string[]) => {
    const mountpoint = await mountpointFor(t);
    // The mount does not follow, and every byte comes from the network.
    const still = ["--refresh", "0", "--prefetch", "none", "--max-cache-size", "0"];
    const { code, stdout, stderr } = await icfs(["mount", name, mountpoint, "--json", ...still, ...options]);
    t.equal(code, 0, stderr);
    return { mountpoint, ...(JSON.parse(stdout) as { release: number; header: string }) };
  };
  const same = async (tree: string, mountpoint: string) =>
    (await sh("diff", "-r", tree, mountpoint)).code === 0;

  await publish(one);
  // A mount of the newest release. The next one makes it outdated.
  const early = await mount(id);
  await publish(two);
  const pinned = await mount(`${id}@1`);
  const newest = await mount(`${id}@2`);

  await t.test("is served byte for byte, whatever was published later", async (t) => {
    t.same([pinned.release, pinned.header], [1, early.header]);
    t.equal(newest.release, 2);
    t.ok(await same(one, pinned.mountpoint));
    t.ok(await same(two, newest.mountpoint));
    t.match(await mountedAt(pinned.mountpoint), { source: `${id}@1`, type: "fuse.icfs" });
    t.match(await mountedAt(early.mountpoint), { source: id });
  });

  await t.test("ls and cat", async (t) => {
    t.match(await icfs(["ls", `${id}@1`]), { code: 0, stdout: "d\ngone\nlarge\n" });
    t.match(await icfs(["ls", id]), { code: 0, stdout: "d\nlarge\nnew\n" });
    t.match(await icfs(["cat", `${id}@1`, "d/file"]), { code: 0, stdout: "first\n" });
    t.match(await icfs(["cat", `${id}@1`, "new"]), { code: 1, stderr: "icfs: new: not in release 1\n" });
  });

  await t.test("verify checks the release and the bytes that a mount serves", async (t) => {
    for (const [{ mountpoint }, release, tree] of [
      [pinned, 1, one],
      [early, 1, one],
      [newest, 2, two],
    ] as const) {
      t.match(await icfs(["verify", mountpoint, tree]), {
        code: 0,
        stdout: new RegExp(
          `^release ${release} of ${id} .* is intact: 3 files, .*${mountpoint} is the same; ${tree}`,
        ),
        stderr: /^verifying: .*\nreading: .*\ncomparing: .*\n$/,
      });
    }
    t.match(await icfs(["verify", pinned.mountpoint, two]), { code: 1, stdout: /removed file {6}gone\n/ });
  });

  await t.test("verify reports a file that the canister has but the mount cannot serve", async (t) => {
    const proxy = await startFaultProxy(t, c.url);
    const impatient = ["--read-timeout", "2", "--retry", "30s"];
    const spoiled = await mount(id, "--network", proxy.url, ...impatient);
    // Afterwards everything that can be served is in memory.
    for (const name of ["d/file", "new"]) {
      const isRead = async () => (await sh("cat", join(spoiled.mountpoint, name))).code === 0;
      await eventually(`${name} is read`, isRead);
    }
    const chunk = createHash("sha256")
      .update(bytesOf(2, 2 * MiB).subarray(MiB))
      .digest();
    proxy.fault = (_, body) => (body.includes(chunk) ? "flip" : "none");
    const { code, stdout, stderr } = await icfs(["verify", spoiled.mountpoint, "--json", "--network", c.url]);
    t.equal(code, 1);
    t.match(stderr, /: 1 problem\n$/);
    t.match(JSON.parse(stdout).problems, exactly(`${spoiled.mountpoint}: large: EIO`));
  });

  await t.test("verify refuses a directory that is not an icfs mount", async (t) => {
    t.match(await icfs(["verify", one]), { code: 1, stderr: /neither a canister id nor an icfs mount/ });
    t.match(await icfs(["verify", "/proc"]), { code: 1, stderr: /neither a canister id nor an icfs mount/ });
  });

  await t.test("that never existed", async (t) => {
    for (const args of [["ls"], ["cat"], ["verify"]]) {
      const path = args[0] === "cat" ? ["large"] : [];
      t.match(await icfs([...args, `${id}@7`, ...path]), {
        code: 1,
        stdout: "",
        stderr: `icfs: ${id} has no release 7: the newest is 2; \`icfs releases ${id}\` lists them\n`,
      });
    }
    for (const number of ["0", "", "X", "-1", "1,5", "99999999999999999999"]) {
      t.match(await icfs(["ls", `${id}@${number}`]), {
        code: 2,
        stderr: /is not a release: give a number from 1/,
      });
    }
  });

  await t.test("whose tree is no longer held", async (t) => {
    const { settings } = await owner.status();
    await owner.keep(2n, true);
    await owner.configure({ ...settings, hold_newest: 1, hold_nanoseconds: 0n });
    await publish(three);
    await eventually("release 1 is dropped and freed", async () => (await owner.status()).freed_chunks > 0n);
    const mountpoint = await mountpointFor(t);
    for (const args of [
      ["ls", `${id}@1`],
      ["cat", `${id}@1`, "large"],
      ["mount", `${id}@1`, mountpoint],
      ["verify", `${id}@1`],
    ]) {
      const { code, stdout, stderr } = await icfs(args);
      t.same({ code, stdout }, { code: 1, stdout: "" }, args.join(" "));
      t.match(
        stderr,
        /^icfs: release 1 of \S+ is not held any more: .*`icfs releases \S+`.*`icfs keep \S+ NUMBER`/,
      );
    }
    t.match(
      await icfs(["cat", `${id}@2`, "new"]),
      { code: 0, stdout: "new\n" },
      "the release marked as kept can still be read",
    );
    t.match(await icfs(["cat", id, "d/file"]), { code: 0, stdout: "third\n" });
  });
});
