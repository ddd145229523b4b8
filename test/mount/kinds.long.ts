/**
 * The guarantees for readers of a mount, which hold for every kind of canister: each file runs the same tests over another kind.
 * docs/SEMANTICS.md has the guarantees; test/semantics/ tests them clause by clause over an icfs canister.
 *
 * With --trust replicated not every test runs again. An icboot canister's list and bytes then come by update calls, and
 * the cache records that. Of an asset canister only the list does; the bytes come by the same queries, and are checked against it.
 * The code above the source (lib/mount, lib/cache) knows nothing of trust. So testTrust() repeats only the tests that see other calls,
 * or what is kept of them.
 */
import { createHash, randomBytes } from "node:crypto";
import { open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { exactly } from "../support/exactly.ts";
import { type Fault, type FaultProxy, faultFor } from "../support/fault-proxy.ts";
import {
  type AnyMountable,
  type Mounted,
  startMountable,
  startMountableAssets,
  startMountableIcboot,
} from "../support/mountable.ts";
import { eventually, HUNG, holding, sh } from "./mounts.ts";

t.setTimeout(30 * HUNG);

const MiB = 1024 * 1024;

interface Kind {
  start(): Promise<AnyMountable>;
  readonly source: string;
  /** How releases are verified by default, and with --trust replicated, where the kind has that. */
  readonly verified: string;
  readonly replicated?: string;
  /** The methods that return files' bytes. */
  readonly methods: readonly string[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  icfs: {
    start: () => startMountable(t),
    source: "icfs",
    verified: "certified",
    methods: ["chunk"],
  },
  icboot: {
    start: () => startMountableIcboot(t),
    source: "icboot",
    verified: "node-signature",
    replicated: "replicated",
    methods: ["get"],
  },
  assets: {
    start: () => startMountableAssets(t),
    source: "assets",
    verified: "certified",
    replicated: "replicated",
    methods: ["get", "get_chunk"],
  },
};

const kind = KINDS[process.env.TEST_SOURCE ?? "icfs"]!;
const { source } = kind;
const c = await kind.start();

/** How a run of a test reads the canister. */
interface Reading {
  /** Options of every command. */
  readonly options: readonly string[];
  readonly verified: string;
  /** Options of every mount. Each way of reading has a cache of its own. */
  readonly mounting: readonly string[];
  /** For a mount that fetches everything from the network when it is read. */
  readonly cold: readonly string[];
  /** For a mount on which a new release is live soon. */
  readonly prompt: readonly string[];
  /** A cache for this run alone. */
  cache(name: string): string;
}

function reading(verified: string, ...options: string[]): Reading {
  const cache = (name: string) => join(c.directory, `${verified}-${name}`);
  const mounting = [...options, "--cache-dir", cache("cache")];
  return {
    options,
    verified,
    mounting,
    cold: [...mounting, "--prefetch", "none", "--max-cache-size", "0", "--refresh", "0"],
    prompt: [...mounting, "--refresh", "0.3", "--quiet", "0"],
    cache,
  };
}

/** A test of one guarantee. */
function test(name: string, work: (t: Test, read: Reading) => Promise<void>): void {
  t.test(name, (t) => work(t, reading(kind.verified)));
}

/** The same test, and once more with --trust replicated. */
function testTrust(name: string, work: (t: Test, read: Reading) => Promise<void>): void {
  test(name, work);
  const { replicated } = kind;
  if (replicated !== undefined) {
    t.test(`${name}; replicated`, (t) => work(t, reading(replicated, "--trust", "replicated")));
  }
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const path = (name: string) => join(c.tree, name);

/** A fault for every answer with files' bytes. */
function faulty(fault: () => Fault): FaultProxy["fault"] {
  const faults = kind.methods.map((method) => faultFor(method, fault));
  return (path, body) => faults.map((one) => one(path, body)).find((one) => one !== "none") ?? "none";
}

t.beforeEach(() => {
  c.proxy.fault = () => "none";
  c.proxy.down = false;
});

const SIZES = [0, 1, 511, 512, 513, MiB - 1, MiB, MiB + 1, 1_900_000, 1_900_001, 5_000_003];
await c.fill({
  ...Object.fromEntries(SIZES.map((size) => [`sizes/${size}`, randomBytes(size)])),
  "pxelinux.cfg/default": "default linux\n",
  "deep/er/still/menu é 1.cfg": "label a\n",
});

testTrust("every byte, by way of ls, cat and verify as well", async (t, { options, verified, mounting }) => {
  const mounted = await c.mount(...mounting);
  t.ok(await c.same(mounted.mountpoint), "diff -r");
  const status = await mounted.status();
  t.match(status, { source, verified, files: SIZES.length + 2 });
  const xattr = `import os, sys; print(os.getxattr(sys.argv[1], sys.argv[2]).decode())`;
  const file = mounted.at("sizes/5000003");
  const { stdout: sum } = await sh("sha256sum", path("sizes/5000003"));
  t.equal((await sh("python3", "-c", xattr, file, "user.icfs.verified")).stdout, `${verified}\n`);
  await eventually("all is here", async () => (await mounted.status()).hydrated);
  t.equal((await sh("python3", "-c", xattr, file, "user.icfs.sha256")).stdout.trim(), sum.split(" ")[0]);

  const listing = `import os, sys
for path in sys.argv[1:]:
  print([(name, len(os.getxattr(path, name)) > 0) for name in os.listxattr(path) if name.startswith("user.icfs.")] != [])`;
  const attributes = (at: Mounted["at"]) => sh("python3", "-c", listing, at("sizes/1"), at("deep"));
  t.match(await attributes(mounted.at), { code: 0, stdout: "False\nFalse\n" }, "attributes are not listed");
  const lists = await c.mount("--list-xattrs", ...mounting);
  t.match(
    await attributes(lists.at),
    { code: 0, stdout: "True\nTrue\n" },
    "--list-xattrs lists the attributes, and they can be read",
  );
  await lists.umount();

  const listed = await c.icfs(["ls", c.id, "-R", "--json", ...options]);
  t.match(JSON.parse(listed.stdout), { source, verified });
  const files = JSON.parse(listed.stdout).entries.filter((entry: { kind: string }) => entry.kind === "file");
  t.equal(files.length, SIZES.length + 2);
  const cat = await c.icfs(["cat", c.id, "deep/er/still/menu é 1.cfg", ...options]);
  t.match(cat, { code: 0, stdout: "label a\n" });
  const result = await c.icfs(["verify", c.id, c.tree, "--json", ...options]);
  t.equal(result.code, 0, result.stderr);
  t.match(JSON.parse(result.stdout), {
    source,
    verified,
    problems: exactly(),
    differences: { changed: exactly() },
  });
  t.match(await c.icfs(["verify", mounted.mountpoint, ...options]), { code: 0 });
  await mounted.umount();
});

testTrust("bytes that are wrong on the way, or do not come, are fetched again", async (t, { cold }) => {
  const mounted = await c.mount(...cold);
  let answers = 0;
  const faults: readonly Fault[] = [
    "flip",
    "none",
    "drop",
    "none",
    "truncate",
    "none",
    { status: 503 },
    "none",
  ];
  c.proxy.fault = faulty(() => faults[answers++ % faults.length]!);
  for (const name of ["sizes/5000003", "sizes/1900001", "sizes/513"]) {
    t.equal((await sh("cmp", path(name), mounted.at(name))).code, 0, name);
  }
  t.ok(answers > 8, `${answers} answers`);
  await mounted.umount();
});

test("bytes that never verify are never served", async (t, { cold }) => {
  const mounted = await c.mount(...cold, "--read-timeout", "2");
  c.proxy.fault = faulty(() => "flip");
  const { code, stdout } = await sh("cat", mounted.at("sizes/1048577"));
  t.same({ code, stdout }, { code: 1, stdout: "" });
  c.proxy.fault = () => "none";
  await eventually(
    "the bytes come",
    async () => (await sh("cmp", path("sizes/1048577"), mounted.at("sizes/1048577"))).code === 0,
  );
  await mounted.umount();
});

test("reads end at their deadline with EIO, and metadata does not wait", async (t, { cold }) => {
  const mounted = await c.mount(...cold, "--read-timeout", "1");
  const outcome = (expression: string) =>
    sh(
      "python3",
      "-c",
      `import errno, os, sys\nroot = sys.argv[1]\ntry:\n    ${expression}\n    print("OK")\nexcept OSError as e:\n    print(errno.errorcode[e.errno])`,
      mounted.mountpoint,
    ).then(({ stdout }) => stdout.trim());
  for (const fault of ["silence", "stall", "drop", { status: 503 }] as const) {
    c.proxy.fault = () => fault;
    const said = JSON.stringify(fault);
    t.equal(await outcome('open(root + "/sizes/1048576", "rb").read()'), "EIO", said);
    t.equal(await outcome('os.stat(root + "/sizes/1048576")'), "OK", said);
    t.equal(await outcome('os.listdir(root + "/sizes")'), "OK", said);
    t.equal(await outcome('os.stat(root + "/absent")'), "ENOENT", said);
  }
  c.proxy.fault = () => "none";
  c.proxy.hangUp();
  await eventually(
    "the bytes come",
    async () => (await sh("cmp", path("sizes/1048576"), mounted.at("sizes/1048576"))).code === 0,
  );
  await mounted.umount();
});

test("a file larger than the memory, with and without a disk", async (t, { cache }) => {
  const small = ["--prefetch", "none", "--memory", "1MiB", "--refresh", "0"];
  for (const more of [
    ["--max-cache-size", "0"],
    ["--cache-dir", cache("small")],
  ]) {
    const mounted = await c.mount(...small, ...more);
    for (let i = 0; i < 2; i++) {
      t.equal((await sh("cmp", path("sizes/5000003"), mounted.at("sizes/5000003"))).code, 0, more.join(" "));
    }
    const file = await open(path("sizes/5000003"));
    const expected = (await file.read(Buffer.alloc(1000), 0, 1000, 4_500_000)).buffer;
    await file.close();
    const tail = await sh(
      "sh",
      "-c",
      `tail -c +4500001 '${mounted.at("sizes/5000003")}' | head -c 1000 | sha256sum`,
    );
    t.equal(tail.stdout.split(" ")[0], sha256(expected), "a range from the middle of the file is correct");
    await mounted.umount();
  }
});

testTrust(
  "what is here needs no network, and damage to it is found",
  async (t, { options, verified, cache }) => {
    const kept = cache("kept");
    const first = await c.mount(...options, "--cache-dir", kept, "--ready", "hydrated");
    await first.umount();

    c.proxy.down = true;
    const away = await c.mount(...options, "--cache-dir", kept);
    t.match(away.said.stderr, /serves what was kept on this host/);
    t.ok(await c.same(away.mountpoint), "the network is away");
    await away.umount();
    const offline = await c.mount(...options, "--cache-dir", kept, "--offline");
    t.ok(await c.same(offline.mountpoint), "--offline");
    t.match(await offline.status(), { source, verified, hydrated: true });
    await offline.umount();

    c.proxy.down = false;
    const at = join(kept, "chunks");
    for (const name of await readdir(at, { recursive: true })) {
      const file = join(at, name);
      const bytes = await readFile(file).catch(() => undefined);
      if (bytes === undefined || bytes.length === 0) continue;
      bytes[bytes.length >> 1]! ^= 1;
      await writeFile(file, bytes);
    }
    const damaged = await c.mount(...options, "--cache-dir", kept);
    t.ok(await c.same(damaged.mountpoint), "every chunk on disk was damaged");
    t.ok((await damaged.status()).disk!.corrupt > 0, "the damage is counted in the status");
    await damaged.umount();
  },
);

test("files that were read are available again offline, and only the others fail", async (t, { cache }) => {
  const demand = ["--cache-dir", cache("partly"), "--prefetch", "none"];
  const first = await c.mount(...demand);
  for (const name of ["sizes/1900001", "sizes/513"]) {
    t.equal((await sh("cmp", path(name), first.at(name))).code, 0, name);
  }
  await first.umount();
  for (const away of [["--offline"], []]) {
    c.proxy.down = true;
    const second = await c.mount(...demand, "--read-timeout", "2", ...away);
    t.equal((await sh("cat", second.at("sizes/5000003"))).code, 1, "not here");
    for (const name of ["sizes/1900001", "sizes/513"]) {
      t.equal((await sh("cmp", path(name), second.at(name))).code, 0, `${name}, ${away[0] ?? "away"}`);
    }
    await second.umount();
  }
});

test("a second mount fetches nothing again", async (t, { cache }) => {
  const warm = ["--cache-dir", cache("warm")];
  const first = await c.mount(...warm, "--ready", "hydrated");
  await first.umount();
  let bytes = 0;
  c.proxy.fault = faulty(() => (answer) => {
    bytes += answer.length;
    return answer;
  });
  const second = await c.mount(...warm, "--refresh", "0");
  t.ok(await c.same(second.mountpoint));
  // An icboot canister certifies nothing: some chunks are read again to see whether they are still the same.
  if (source !== "icboot") t.equal(bytes, 0);
  await second.umount();
});

test("an open file is read to its end unchanged, whatever a new release changes", async (t, { prompt }) => {
  await c.fill({
    "v/same-length": Buffer.alloc(2_500_000, 1),
    "v/grows": Buffer.alloc(1_200_000, 1),
    "v/shrinks": Buffer.alloc(1_200_000, 1),
    "v/config": "one\n",
  });
  const before = new Map<string, Buffer>();
  for (const name of await readdir(path("v"))) before.set(name, await readFile(path(`v/${name}`)));
  const mounted = await c.mount(...prompt, "--ready", "hydrated");
  t.ok(await c.same(mounted.mountpoint));
  const held = await Promise.all([...before.keys()].map((name) => holding(t, mounted.at(`v/${name}`))));
  await c.fill({
    "v/same-length": Buffer.alloc(2_500_000, 2),
    "v/grows": Buffer.alloc(2_200_000, 2),
    "v/shrinks": Buffer.alloc(700_000, 2),
    "v/config": "two\n",
    "v/new": "new\n",
  });
  await eventually("the change is live", () => c.same(mounted.mountpoint));
  for (const [i, [name, content]] of [...before].entries()) {
    t.equal(await held[i]!.rest(), sha256(content), `${name} keeps its old content`);
    await held[i]!.close();
  }
  await mounted.umount();
});

test("a mount inside stays when the files below it change", async (t, { prompt }) => {
  const mounted = await c.mount(...prompt, "--ready", "hydrated");
  const inside = mounted.at("deep/er/still");
  t.equal((await sh("mount", "-t", "tmpfs", "tmpfs", inside)).code, 0);
  t.teardown(() => sh("umount", "-l", inside));
  await writeFile(join(inside, "mine"), "in memory\n");
  for (const text of ["first\n", "second\n"]) {
    await c.fill({ "deep/er/changed": text, "deep/er/still/menu é 1.cfg": text });
    await eventually(
      "the change is live",
      async () => (await sh("cat", mounted.at("deep/er/changed"))).stdout === text,
    );
    t.equal((await sh("cat", join(inside, "mine"))).stdout, "in memory\n");
  }
  t.equal((await sh("umount", inside)).code, 0);
  t.equal((await sh("cat", join(inside, "menu é 1.cfg"))).stdout, "second\n");
  await mounted.umount();
});
