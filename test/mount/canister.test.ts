/** bin/icfs mount over a real canister: how mounts are made and removed, and how they treat bad answers. All above the transports. */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { isRunning } from "../../lib/fs/mounting/unmount.ts";
import { faultFor } from "../support/fault-proxy.ts";
import { startMountable } from "../support/mountable.ts";
import { HUNG, mountpointFor, sh } from "./mounts.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;

const c = await startMountable(t);

t.test("a failed mount gives the reason and leaves nothing behind", async (t) => {
  const { icfs, id, url, directory } = c;
  const mountpoint = await mountpointFor(t);
  const refused = async (args: string[], message: RegExp, expected = 1) => {
    const { code, stderr, stdout } = await icfs(["mount", ...args]);
    t.equal(code, expected, args.join(" "));
    t.match(stderr, message);
    t.equal(stdout, "");
    t.equal((await sh("grep", mountpoint, "/proc/mounts")).stdout, "", "nothing is mounted");
  };
  await refused([id, mountpoint], /has no release yet: `icfs publish DIR/);
  await refused(["lxzze-o7777-77777-aaaaa-caj", mountpoint], /is not a canister id/, 2);
  await refused(["rwlgt-iiaaa-aaaaa-aaaaa-cai", mountpoint], /rwlgt-iiaaa-aaaaa-aaaaa-cai/);
  await refused(
    [id, mountpoint, "--network", "http://127.0.0.1:1"],
    /no network answers at http:\/\/127.0.0.1:1/,
  );
  await refused([id, mountpoint, "--network", "http://10.1.2.3:80"], /give it with --root-key/, 2);
  await writeFile(join(directory, "a"), "a");
  await c.publish({});
  await refused([id, join(directory, "a")], /not a directory/);
  await refused([id, join(directory, "absent")], /absent/);
  const key = Buffer.from(c.rootKey);
  key[key.length - 1]! ^= 1;
  await refused(
    [id, mountpoint, "--network", url, "--root-key", key.toString("hex")],
    /certificate is refused/,
  );
});

t.test("--json describes the mount, icfs umount ends its daemon, and it can be mounted again", async (t) => {
  const { icfs, id } = c;
  const release = await c.publish({ a: "hello\n" });
  const mountpoint = await mountpointFor(t);
  for (let i = 0; i < 2; i++) {
    const { stdout } = await icfs(["mount", id, mountpoint, "--json"]);
    t.equal(stdout.trim().split("\n").length, 1, "one line");
    const { pid, ...description } = JSON.parse(stdout);
    t.match(description, {
      canister: id,
      mountpoint,
      release,
      header: /^[0-9a-f]{64}$/,
      files: 1,
      bytes: 6,
    });
    t.ok(isRunning(pid), "the daemon runs");
    t.equal((await sh("cat", join(mountpoint, "a"))).stdout, "hello\n");
    const unmounted = await icfs(["umount", mountpoint]);
    t.equal(unmounted.code, 0, unmounted.stderr);
    t.notOk(isRunning(pid), "the daemon has ended when icfs umount returns");
  }
  const again = await icfs(["umount", mountpoint]);
  t.equal(again.code, 1);
  t.match(again.stderr, /is not an icfs mount/);
});

t.test("answers that are corrupted or lost are fetched again", async (t) => {
  const { proxy, tree } = c;
  await c.publish({ file: randomBytes(6 * MiB) });
  const { at } = await c.mount("--prefetch", "none", "--max-cache-size", "0");
  let queries = 0;
  // Two of three answers are bad, each time in another way.
  const faults = [
    "flip",
    "drop",
    "none",
    "truncate",
    "flip",
    "none",
    { status: 503 },
    { status: 429 },
    "none",
  ] as const;
  proxy.fault = faultFor("chunk", () => faults[queries++ % faults.length]!);
  const compared = await sh("cmp", join(tree, "file"), at("file"));
  t.equal(compared.code, 0, "the reader gets the right bytes", { compared });
  t.ok(queries > 6, `${queries} queries for 6 chunks`);
});
