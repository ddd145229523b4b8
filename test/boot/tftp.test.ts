/** Stock dnsmasq, as user nobody, serves a mounted canister over TFTP: every byte arrives, and errors are TFTP's own. */
import { createHash } from "node:crypto";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { deploy, mount, publish, startLocalnet } from "../../demo/icfs.ts";
import { makeNamespace } from "../../demo/namespace.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { fetchFiles, LARGE_BLOCKS, NOT_FOUND, PLAIN } from "./tftp-client.ts";

t.setTimeout(1_200_000);

const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const MIB = 1024 * 1024;
/** Sizes around multiples of TFTP's blocks, where the last block may be empty, and around icfs's largest chunk. */
const SIZES = [0, 1, 511, 512, 513, 1467, 1468, 1469, MIB - 1, MIB, MIB + 1, 5_000_000];
/** Symlinks and their targets. */
const LINKS = {
  "default.cfg": "files/511",
  "files/latest": "1048577",
  "boot.d": "deep/er",
  "again.cfg": "default.cfg",
};

/** Bytes without a pattern, different for each name and the same in every run. */
function bytesFor(name: string, size: number): Buffer {
  const blocks = Math.ceil(size / 32);
  const all = Array.from({ length: blocks }, (_, at) =>
    createHash("sha256").update(`${name} ${at}`).digest(),
  );
  return Buffer.concat(all).subarray(0, size);
}

async function makeFiles(directory: string): Promise<string[]> {
  const files: Record<string, number> = { "deep/er/menu é 1.cfg": 700 };
  for (const size of SIZES) files[`files/${size}`] = size;
  for (const [name, size] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), bytesFor(name, size));
  }
  for (const [name, target] of Object.entries(LINKS)) await symlink(target, join(directory, name));
  return [...Object.keys(files), "default.cfg", "files/latest", "again.cfg", "boot.d/menu é 1.cfg"];
}

t.test("dnsmasq serves a mount", async (t) => {
  await using stack = new AsyncDisposableStack();
  const { directory, env } = stack.use(await makeWorkspace("icfs-tftp"));
  const tree = join(directory, "tree");
  const names = await makeFiles(tree);
  const { localnet, url } = await startLocalnet({ env });
  stack.use(localnet);
  await deploy(CANISTER, url, { env });
  await publish(tree, CANISTER, url, { env });
  const root = join(directory, "mnt");
  await mkdir(root);
  stack.use(await mount(CANISTER, root, url, { env }));
  const namespace = stack.use(await makeNamespace(`icfs-tftp-${process.pid}`));
  const dnsmasq = stack.use(await startDnsmasq(namespace, root, { env }));

  let downloads = 0;
  /** Fetches `name` as a client on the network would, and returns what came. */
  const fetchFile = async (name: string, tftp: string[], from = namespace): Promise<Buffer> => {
    const to = join(directory, `download-${downloads++}`);
    await fetchFiles(from, [name], to, { tftp, env });
    return await readFile(join(to, name));
  };

  await t.test("dnsmasq runs as nobody", async (t) => {
    const status = await readFile(`/proc/${dnsmasq.pid}/status`, "utf8");
    t.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
  });

  const same = async (t: Test, name: string, tftp: string[]) => {
    const got = await fetchFile(name, tftp);
    t.ok(got.equals(await readFile(join(tree, name))), `${name}, ${got.length} bytes`);
  };

  await t.test("every file arrives in blocks of 512", async (t) => {
    for (const name of names) await same(t, name, PLAIN);
  });

  await t.test("every file arrives in blocks of 1468", async (t) => {
    // curl treats a size of 0 in the server's answer as an error.
    for (const name of names.filter((name) => name !== "files/0")) await same(t, name, LARGE_BLOCKS);
  });

  await t.test("four clients fetch files at once, two of them the same file", async (t) => {
    const wanted = ["files/5000000", "files/5000000", "files/latest", "files/1048575"];
    await Promise.all(wanted.map((name) => same(t, name, LARGE_BLOCKS)));
  });

  for (const name of ["pxelinux.cfg/C0A80702", "files/none", "/etc/passwd"]) {
    await t.test(`"${name}" is not found`, async (t) => {
      await t.rejects(fetchFile(name, PLAIN), { message: new RegExp(`^curl failed \\(${NOT_FOUND}\\)`) });
    });
  }

  await t.test("with tftp-secure, dnsmasq serves only a mount whose --uid is its own user", async (t) => {
    const own = join(directory, "own");
    await mkdir(own);
    const ids = [
      "--uid",
      "nobody",
      "--gid",
      "nogroup",
      "--stats-file",
      join(directory, "own-statistics.json"),
    ];
    stack.use(await mount(CANISTER, own, url, { env }, ids));
    const another = stack.use(await makeNamespace(`icfs-secure-${process.pid}`));
    const fetched = async (from: string) => {
      await using server = await startDnsmasq(another, from, { env }, ["--tftp-secure"]);
      t.ok(server.pid);
      return await fetchFile("files/511", PLAIN, another);
    };
    await t.rejects(fetched(root), { message: /^curl failed/ }, "a mount that belongs to root is not served");
    t.same(await fetched(own), await readFile(join(tree, "files/511")));
  });
});
