/**
 * Eight machines fetch files at once, from one server, over a mount whose cache is empty: each gets every byte of every file, and no
 * chunk is fetched from the network twice.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import t, { type Test } from "tap";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { makeNamespace, type Namespace } from "../../demo/namespace.ts";
import type { Process } from "../../demo/process.ts";
import { keyOf } from "../../lib/tree/tree.ts";
import { sh } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";
import { stackOf } from "../support/stack.ts";
import { fetchFiles, LARGE_BLOCKS, PLAIN } from "./tftp-client.ts";
import { startTftpdHpa } from "./tftpd-hpa.ts";

t.setTimeout(1_200_000);

const CLIENTS = 8;
const MIB = 1024 * 1024;
/** Sizes in bytes: some files have one chunk, and some have several. */
const SIZES = [1, 512, 1468, 40_000, 300_000, MIB + 1, 2 * MIB];

/** The argument of a query for a chunk, in Candid: a blob of 32 bytes, which follow. */
const HASH_ARGUMENT = Buffer.from("4449444c016d7b010020", "hex");

const c = await startMountable(t);
const files = Object.fromEntries(SIZES.map((size) => [`files/${size}`, randomBytes(size)]));
files["boot/copy"] = files["files/300000"]!;
await c.publish(files);
const names = Object.keys(files);
const { header } = (await c.source().head())!;
/** The keys of all chunks. */
const chunks = (await c.source().manifest(header)).chunks.map(keyOf);

/** How often the network has been asked for each chunk, or piece of the manifest, by hash. */
let asked = new Map<string, number>();
c.proxy.fault = (_, body) => {
  const at = body.indexOf(HASH_ARGUMENT);
  if (at >= 0) {
    const start = at + HASH_ARGUMENT.length;
    const hash = body.subarray(start, start + 32).toString("hex");
    asked.set(hash, (asked.get(hash) ?? 0) + 1);
  }
  return "none";
};

let runs = 0;

const SERVERS: [
  name: string,
  start: (namespace: Namespace, root: string) => Promise<Process>,
  ...options: string[],
][] = [
  ["dnsmasq", (namespace, root) => startDnsmasq(namespace, root), "--prefetch", "none"],
  ["dnsmasq, while all is being fetched", (namespace, root) => startDnsmasq(namespace, root)],
  [
    "tftpd-hpa",
    (namespace, root) => startTftpdHpa(namespace, root, {}),
    "--prefetch",
    "none",
    "--open",
    "whole",
  ],
];
for (const [name, start, ...options] of SERVERS) {
  await t.test(name, async (t) => {
    await eightClients(t, start, options);
  });
}

async function eightClients(
  t: Test,
  start: (namespace: Namespace, root: string) => Promise<Process>,
  options: string[],
): Promise<void> {
  runs += 1;
  asked = new Map();
  const mount = await c.mount("--cache-dir", join(c.directory, `cache-${runs}`), ...options);
  const stack = stackOf(t);
  const namespace = stack.use(await makeNamespace(`icfs-clients-${process.pid}-${runs}`));
  stack.use(await start(namespace, mount.mountpoint));

  const got = Array.from({ length: CLIENTS }, (_, client) => join(c.directory, `client-${runs}-${client}`));
  await Promise.all(
    got.map((directory, client) => {
      // The clients start in pairs, each pair with another file. Half of the clients ask as the oldest ROMs do.
      const first = (client >> 1) * 2;
      const order = [...names.slice(first), ...names.slice(0, first)];
      return fetchFiles(namespace, order, directory, { tftp: client % 4 < 2 ? LARGE_BLOCKS : PLAIN });
    }),
  );
  for (const directory of got) {
    t.equal((await sh("diff", "-r", c.tree, directory)).code, 0, "each client has every byte of every file");
  }
  t.same(
    chunks.map((key) => asked.get(key)),
    chunks.map(() => 1),
    `each of ${chunks.length} chunks is fetched once`,
  );
  const { cache, readers } = await mount.status();
  t.equal(cache.chunksVerified, chunks.length, "the mount's status counts each fetched chunk once");
  t.equal(readers.errors, 0);
  await stack.disposeAsync();
  await mount.umount();
}
