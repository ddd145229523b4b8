/** The choice of the network and of the root key that vouches for it: --network, --root-key and their environment variables. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { startCanister, startNetwork } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

t.test("networks and root keys", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { file: "content" });
  t.match(await c.icfs(["publish", tree, id]), { code: 0 }, "ICFS_NETWORK");

  const { ICFS_NETWORK: _, ...bare } = c.env;
  const hex = Buffer.from(c.rootKey).toString("hex");
  const file = join(c.directory, "root.key");
  await writeFile(file, c.rootKey);
  // The same network, by an address that is not a loopback address.
  const elsewhere = c.url.replace("127.0.0.1", "0.0.0.0");
  const other = await startNetwork(t);
  const otherKey = Buffer.from(other.rootKey).toString("hex");

  const works: [args: string[], env?: NodeJS.ProcessEnv][] = [
    [["--network", c.url]],
    [["--network", c.url.replace("http://", "")]],
    [["--network", c.url, "--root-key", hex]],
    [["--network", elsewhere, "--root-key", hex]],
    [["--network", elsewhere, "--root-key", file]],
    [[], { ICFS_NETWORK: elsewhere, ICFS_ROOT_KEY: file }],
    [["--network", c.url, "--root-key", hex], { ICFS_NETWORK: "nonsense", ICFS_ROOT_KEY: "nonsense" }],
  ];
  for (const [args, env] of works) {
    const result = await c.icfs(["ls", id, ...args], { env: { ...bare, ...env } });
    t.same(result, { code: 0, stdout: "file\n", stderr: "" }, args.join(" ").replace(hex, "HEX"));
  }

  t.match(await c.icfs(["ls", id.toUpperCase()]), { code: 0, stdout: "file\n" }, "an id in capitals");

  const refused: [args: string[], message: RegExp, code?: number][] = [
    [
      ["ls", id, "--network", elsewhere],
      /the root key of .*0\.0\.0\.0.* is not known: give it with --root-key/,
      2,
    ],
    [
      ["ls", id, "--network", c.url, "--root-key", otherKey],
      /the certificate is refused: it does not verify by/,
    ],
    [["deploy", "--network", c.url, "--root-key", otherKey], /cannot deploy: .*(certificate|signature)/i],
    [["publish", tree, id, "--network", c.url, "--root-key", otherKey], /certificate is refused/],
    [
      ["ls", id, "--network", c.url, "--root-key", hex.slice(2)],
      /--root-key: a key has 266 digits in hexadecimal, and this has 264/,
      2,
    ],
    [
      ["ls", id, "--network", other.url],
      new RegExp(`^icfs: there is no canister ${id} at ${other.url}: .*unless it has --state$`),
    ],
  ];
  for (const [args, message, expected = 1] of refused) {
    const { code, stdout, stderr } = await c.icfs(args, { env: bare });
    t.match({ code, stdout }, { code: expected, stdout: "" }, `${message}`);
    const [line, ...more] = stderr
      .trim()
      .split("\n")
      .filter((line) => !line.startsWith("hashing"));
    t.match(line, message);
    t.match(line, /^icfs: /);
    t.same(more, [], "in one line");
  }
});

t.test("several gateways of one network", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { file: "content" });
  const { ICFS_NETWORK: _, ...bare } = c.env;
  const gone = "http://127.0.0.1:1";
  const here = c.url;
  const again = c.url.replace("127.0.0.1", "127.0.0.2");
  const elsewhere = await startNetwork(t);
  const key = Buffer.from(c.rootKey).toString("hex");

  const published = await c.icfs(["publish", tree, id, "--network", `${gone},${here}`], { env: bare });
  t.match(published, { code: 0 }, published.stderr);
  const listed = { code: 0, stdout: "file\n", stderr: "" };
  const ls = (network: string, ...more: string[]) =>
    c.icfs(["ls", id, ...more], { env: { ...bare, ICFS_NETWORK: network } });
  t.same(await ls(`${here},${gone}`), listed, "ICFS_NETWORK");
  t.same(await ls(`${here},${elsewhere.url}`, "--root-key", key), {
    ...listed,
    stderr: `icfs: ${elsewhere.url} is asked last: its root key is another: it belongs to another network\n`,
  });
  t.match(await ls(`${here},${elsewhere.url}`), {
    code: 1,
    stdout: "",
    stderr: /^icfs: \S+ and \S+ are gateways of different networks, with different root keys: /,
  });
  t.match(await ls(`${here},,${gone}`), { code: 2, stderr: /^icfs: the network "\S+" has an empty part/ });

  // All these lists of gateways name one network, so this host has one record of what it accepted.
  const trust = await readdir(join(c.env.XDG_STATE_HOME!, "icfs", "trust"));
  t.equal(trust.filter((name) => name.endsWith(".json")).length, 1);
  const reset = await c.icfs(["trust", "reset", id, "--network", again]);
  t.match(
    reset,
    { code: 1, stderr: /has not accepted anything/ },
    "trust reset finds nothing for another gateway alone",
  );
  t.match(await c.icfs(["trust", "reset", id, "--network", `${again},${here}`]), {
    code: 0,
    stdout: `forgot what was accepted of ${id}: release 1 on ${gone},${here}\n`,
  });
  t.same(await ls(`${again},${here}`), listed);

  const doctor = await c.icfs(["doctor", id, "--json"], {
    env: { ...bare, ICFS_NETWORK: `${here},${gone},${elsewhere.url}`, ICFS_ROOT_KEY: key },
  });
  const found = JSON.parse(doctor.stdout) as { check: string; level: string; message: string }[];
  const of = (name: string) => found.filter(({ check }) => check === name);
  t.match(
    of("network"),
    exactly(
      { level: "ok", message: `${here} answers` },
      { level: "warn", message: /^no network answers at http:\/\/127.0.0.1:1 / },
      { level: "ok", message: `${elsewhere.url} answers` },
    ),
  );
  t.match(of("root key"), exactly({ level: "fail", message: new RegExp(`but ${elsewhere.url} says`) }));
  t.match(of("canister"), exactly({ level: "ok", message: /can be read: release 1/ }));
});

t.test("without a network, commands fail at once with advice", async (t) => {
  // Nothing listens at this port any more.
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const mute = createServer(() => {});
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
  t.teardown(() => void mute.close());
  const silent = `http://127.0.0.1:${(mute.address() as AddressInfo).port}`;
  const n = await startNetwork(t);
  const url = `http://127.0.0.1:${port}`;
  const key = Buffer.from(n.rootKey).toString("hex");
  const id = "oeagv-5qaaa-aaaah-aar4q-cai";
  // The commands run at once, because each waits a few seconds.
  const refused = [["ls", id], ["deploy"], ["mount", id, n.directory]].map(async (args) => {
    const { code, stdout, stderr } = await n.icfs([...args, "--network", url]);
    t.match({ code, stdout }, { code: 1, stdout: "" }, args[0]!);
    t.match(
      stderr.replace(/^.* yet: waiting for it to start\n/, ""),
      `icfs: no network answers at ${url} (connect ECONNREFUSED 127.0.0.1:${port}): start one with \`icfs localnet\`\n`,
    );
  });
  // Commands that retry over a bad line do not wait for a network that does not exist.
  await mkdir(join(n.directory, "tree"));
  const unanswered = [
    ["publish", join(n.directory, "tree"), id],
    ["releases", id],
    ["rollback", id, "1"],
    ["roles", id],
  ].map(async (args) => {
    const { code, stdout, stderr } = await n.icfs([...args, "--network", silent, "--root-key", key]);
    t.match({ code, stdout }, { code: 1, stdout: "" }, args[0]!);
    t.match(stderr, `icfs: no network answers at ${silent} (no answer within 5 s): something is there`);
    t.notMatch(stderr, "hashing");
  });
  await Promise.all([...refused, ...unanswered]);
  const given = await n.icfs(["ls", id, "--network", url, "--root-key", key]);
  t.match(given, { code: 1, stdout: "", stderr: /^icfs: .*ECONNREFUSED/ });
});

t.test("when --network local was forgotten, the error suggests it", async (t) => {
  const directory = await temporaryDirectory(t);
  const id = "lxzze-o7777-77777-aaaaa-cai";
  const script = `ip link set lo up
    "$1" localnet >net & until grep -q ready net; do sleep 0.1; done
    mkdir tree mnt
    for command in "ls ${id}" "publish tree ${id}" "mount ${id} mnt --log-file log" "releases ${id}" "doctor ${id}"; do
      echo "# $command"; "$1" $command; echo "code $?"
    done
    kill $!`;
  const { stdout } = await run("unshare", ["--net", "sh", "-c", `{ ${script}\n} 2>&1`, "sh", BIN], {
    env: cleanEnvironment(directory),
    cwd: directory,
    limit: 300_000,
  });
  const said = new Map(
    stdout.split(/^# /m).map((part) => [part.split(" ", 1)[0]!, part.slice(part.indexOf("\n") + 1)]),
  );
  const hint = "A local network answers at http://127.0.0.1:4943: did you mean --network local?";
  for (const command of ["ls", "publish", "mount", "releases"]) {
    t.match(
      said.get(command),
      /^icfs: no network answers at https:\/\/icp-api\.io \(--network ic, the default\) \(getaddrinfo [^\n]*\ncode 1\n$/,
      command,
    );
    t.match(said.get(command), `. ${hint}\n`, command);
  }
  t.match(said.get("doctor"), new RegExp(`fail +network: .*\n +${hint.replace("?", "\\?")}\n`));
});
