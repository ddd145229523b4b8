/** Mounts in containers that share a host's cache and state, over a slow disk: none of them disturbs another. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { exactly } from "../support/exactly.ts";
import { BIN, HUNG, run } from "../support/icfs.ts";
import { startMountable } from "../support/mountable.ts";

t.setTimeout(30 * HUNG);

const KiB = 1024;
const SLOW_DISK = fileURLToPath(new URL("../support/slow-disk.ts", import.meta.url));

t.test("containers hydrate at the same time, and mount again without the network", async (t) => {
  const c = await startMountable(t);
  const files = Array.from({ length: 12 }, (_, i) => [`file-${i}`, randomBytes(300 * KiB)] as const);
  await c.publish(Object.fromEntries(files));
  const env = { ...c.env, NODE_OPTIONS: `--import ${SLOW_DISK}`, TREE: c.tree };
  /** The first process of a container: it mounts, prints `icfs status`, compares and unmounts. */
  const contain = async (name: string, ...options: string[]) => {
    const [mountpoint, log] = [join(c.directory, name), join(c.directory, `${name}.log`)];
    await mkdir(mountpoint, { recursive: true });
    const script = `"$0" mount "$@" >&2 && "$0" status "${mountpoint}" --json && diff -r "$TREE" "${mountpoint}" && "$0" umount "${mountpoint}"`;
    const mount = [c.id, mountpoint, "--network", c.proxy.url, "--log-file", log, "--ready", "hydrated"];
    const namespaces = [
      "--pid",
      "--fork",
      "--kill-child",
      "--mount",
      "--propagation",
      "private",
      "--mount-proc",
    ];
    const result = await run("unshare", [...namespaces, "sh", "-c", script, BIN, ...mount, ...options], {
      env,
      limit: 3 * HUNG,
    });
    t.equal(result.code, 0, `${name}: ${result.stderr}`);
    t.match(JSON.parse(result.stdout), exactly({ release: 1, hydrated: true }), name);
    t.notMatch(await readFile(log, "utf8"), /disk cache|cannot|could not/, name);
  };
  await Promise.all(["one", "two", "three"].map((name) => contain(name)));
  const { stdout } = await c.icfs(["trust", "show", "--json"]);
  t.match(JSON.parse(stdout).accepted, exactly({ canister: c.id, number: 1, kept: 1 }));
  c.proxy.down = true;
  await contain("offline", "--offline");
  const cache = await readdir(join(c.env.XDG_CACHE_HOME!, "icfs"), { recursive: true });
  t.same(
    cache.filter((name) => name.endsWith(".new")),
    [],
  );
});
