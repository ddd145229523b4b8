/** icfs mirror, on a real canister: what it writes, what a second run fetches, and what a killed run leaves. */
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { decodeHeaders } from "../../lib/source/icfs/header-list.ts";
import { faultFor } from "../support/fault-proxy.ts";
import { HUNG } from "../support/icfs.ts";
import { sha256 } from "../support/icfs-canister.ts";
import { startMountable } from "../support/mountable.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;
const c = await startMountable(t);
const large = randomBytes(3 * MiB);
const small = randomBytes(2 * MiB);
await c.publish({ "pxelinux.0": "loader\n", large });
const directory = join(c.directory, "mirror");
const inside = (...names: string[]) => join(directory, ".icfs", ...names);
const rootKey = ["--root-key", Buffer.from(c.rootKey).toString("hex")];

async function mirror(...more: string[]) {
  const { code, stdout, stderr } = await c.icfs(["mirror", c.id, directory, "--json", ...more]);
  t.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** Reads from the mirror alone, on a host that has read nothing in another way. */
const alone = (command: string, release: string, ...more: string[]) =>
  c.icfs(
    [
      ...[command, release, ...more, "--mirror", `file:${directory}`, "--mirror-only", ...rootKey],
      ...["--network", "http://127.0.0.1:9"],
    ],
    { env: { ...c.env, XDG_STATE_HOME: join(c.directory, "state-of-another") } },
  );

/** The number of its chunks, all of which must be right. */
async function hasWholeChunks(): Promise<number> {
  const names = (await readdir(inside("chunk"))).filter((name) => !name.endsWith(".new"));
  for (const name of names) {
    t.equal(sha256(await readFile(inside("chunk", name))).toString("hex"), name);
  }
  return names.length;
}

t.test("a first run", async (t) => {
  const said = await mirror();
  t.match(said, { canister: c.id, directory, release: 1, newest: 1, files: 2, removed: 0 });
  t.equal(said.fetchedChunks, said.chunks);
  t.equal(await hasWholeChunks(), said.chunks);
  const head = await c.source().restore(await readFile(inside("release")));
  t.equal(head.hash.toString("hex"), said.header);
  t.same(await readdir(inside("headers")), [], "release 1 has no parent, so there is no page of headers");
  t.equal((await stat(inside("release"))).mode & 0o777, 0o644, "a web server can read the release file");
  t.match(await alone("verify", c.id, c.tree), { code: 0 });
});

t.test("a second run fetches only what is new", async (t) => {
  t.match(await mirror(), { release: 1, fetchedChunks: 0, fetchedBytes: 0 });
  await c.publish({ small });
  const said = await mirror();
  t.match(said, { release: 2, removed: 0 });
  t.ok(said.fetchedChunks >= 3 && said.fetchedBytes < 3 * MiB, JSON.stringify(said));
  const [page] = await readdir(inside("headers"));
  t.equal(page, "1");
  const headers = await c.source().headers(1, 1);
  t.same(
    decodeHeaders(await readFile(inside("headers", "1"))),
    headers,
    "the page holds the headers that the canister returns",
  );
  t.match(await alone("cat", c.id, "pxelinux.0"), { code: 0, stdout: "loader\n" });
  t.match(
    await alone("ls", `${c.id}@1`),
    { code: 0, stdout: "large\npxelinux.0\n" },
    "release 1 can still be listed",
  );
});

t.test("--prune", async (t) => {
  const before = await hasWholeChunks();
  await rm(join(c.tree, "large"));
  await c.publish({ more: "more\n" });
  const said = await mirror("--prune");
  t.ok(said.removed >= 3, JSON.stringify(said));
  t.equal(await hasWholeChunks(), said.chunks);
  t.ok(said.chunks < before);
  t.same(
    (await readdir(inside("headers"))).sort(),
    ["1", "2"],
    "the pages of headers that readers of the previous release need are kept",
  );
  t.match(await alone("verify", c.id, c.tree), { code: 0 });
  const old = await alone("cat", `${c.id}@1`, "pxelinux.0");
  t.match(old, { code: 1, stderr: /release 1 of .* is not held any more/ });
});

t.test("a killed run leaves the previous release, and the next run completes the new one", async (t) => {
  await c.publish({
    ...Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`f${i}`, randomBytes(MiB + i)])),
  });
  const before = await hasWholeChunks();
  let chunks = 0;
  let child: ChildProcess | undefined;
  c.proxy.fault = faultFor("chunk", () => {
    chunks += 1;
    if (chunks > 5) child!.kill("SIGKILL");
    return chunks > 5 ? "silence" : "none";
  });
  const args = ["mirror", c.id, directory, "--network", c.proxy.url];
  const killed = await c.icfs(args, {
    started: (process) => {
      child = process;
    },
  });
  c.proxy.fault = () => "none";
  c.proxy.hangUp();
  t.equal(killed.code, 128 + 9);
  const arrived = await hasWholeChunks();
  t.ok(arrived > before, "at least the manifest's chunk has arrived");
  await writeFile(inside("chunk", `${"0".repeat(64)}.0011223344556677.new`), "half");
  const restored = await c.source().restore(await readFile(inside("release")));
  t.equal(restored.header.number, 3);
  t.match(await alone("cat", c.id, "more"), { code: 0, stdout: "more\n" });
  const said = await mirror();
  t.match(said, { release: 4 });
  t.notOk((await readdir(inside("chunk"))).some((name) => name.endsWith(".new")));
  t.equal(
    await hasWholeChunks(),
    arrived + said.fetchedChunks,
    "chunks that had arrived are not fetched again",
  );
  t.match(await alone("verify", c.id, c.tree), { code: 0 });
});

t.test("the canister's own URL can be used as a mirror", async (t) => {
  const url = `http://${c.id}.localhost:${new URL(c.url).port}`;
  const by = [...["--mirror", url, "--mirror-only", "--network", "http://127.0.0.1:9"], ...rootKey];
  const env = { ...c.env, XDG_STATE_HOME: join(c.directory, "state-of-a-third") };
  t.match(await c.icfs(["verify", c.id, c.tree, ...by], { env }), { code: 0 });
  t.match(await c.icfs(["ls", `${c.id}@2`, ...by], { env }), {
    code: 0,
    stdout: "large\npxelinux.0\nsmall\n",
  });
  const refused = await c.icfs(["ls", `${c.id}@9`, ...by], { env });
  t.match(refused, { code: 1 });
});

t.test("an older release", async (t) => {
  const other = join(c.directory, "older");
  const said = await c.icfs(["mirror", `${c.id}@2`, other]);
  t.match(said, { code: 0, stdout: new RegExp(`^${other} has release 2 of ${c.id}: 3 files, `) });
  const { stdout } = await c.icfs([
    ...["ls", `${c.id}@2`, "--mirror", `file:${other}`, "--mirror-only", ...rootKey],
  ]);
  t.equal(stdout, "large\npxelinux.0\nsmall\n");
});

t.test("a directory that is not a mirror of the canister is left alone", async (t) => {
  const other = join(c.directory, "other");
  await mkdir(other);
  await writeFile(join(other, "index.html"), "a page");
  const refused = await c.icfs(["mirror", c.id, other]);
  t.match(refused, {
    code: 1,
    stderr: /is not a mirror \(it has files, and no \.icfs\): name an empty directory/,
  });
  t.same(await readdir(other), ["index.html"]);
  await writeFile(join(other, ".icfs"), "a file");
  t.match(await c.icfs(["mirror", c.id, other]), { code: 1, stderr: /cannot write the mirror/ });

  const disk = join(c.directory, "disk");
  await mkdir(join(disk, "lost+found"), { recursive: true });
  t.match(
    await c.icfs(["mirror", c.id, disk]),
    { code: 0 },
    "a directory with only lost+found counts as empty",
  );

  const strange = join(c.directory, "strange");
  await mkdir(join(strange, ".icfs"), { recursive: true });
  await writeFile(join(strange, ".icfs", "mine"), "");
  t.match(await c.icfs(["mirror", c.id, strange]), { code: 1, stderr: /its \.icfs has mine/ });
  await rm(join(strange, ".icfs", "mine"));
  await writeFile(join(strange, ".icfs", "notes.new"), "");
  t.match(await c.icfs(["mirror", c.id, strange]), { code: 1, stderr: /its \.icfs has notes\.new/ });
  await rm(join(strange, ".icfs", "notes.new"));
  await writeFile(join(strange, ".icfs", "release"), "no proof");
  t.match(await c.icfs(["mirror", c.id, strange]), {
    code: 1,
    stderr: /is not a release of .* or is damaged/,
  });
});

t.test("entries that systems and programs add to directories are ignored and kept", async (t) => {
  const stick = join(c.directory, "stick");
  for (const name of ["System Volume Information", ".Trashes", ".fseventsd", "$RECYCLE.BIN", ".Trash-1000"]) {
    await mkdir(join(stick, name), { recursive: true });
  }
  for (const name of [".DS_Store", "._.DS_Store", "Thumbs.db", "desktop.ini"])
    await writeFile(join(stick, name), "");
  await mkdir(join(stick, ".icfs"));
  await writeFile(join(stick, ".icfs/.DS_Store"), "");
  t.match(
    await c.icfs(["mirror", c.id, stick]),
    { code: 0 },
    "a stick that another system has used is accepted",
  );
  const there = ["lost+found", "mine", "Thumbs.db", "0000000001", ".~tmp~", ".release.kXr2bq", "notes.new"];
  for (const name of there) {
    await mkdir(join(stick, ".icfs", name), { recursive: true });
    await mkdir(join(stick, ".icfs/chunk", name), { recursive: true });
  }
  await mkdir(join(stick, ".icfs/channel"), { recursive: true });
  await writeFile(join(stick, ".icfs/channel/.DS_Store"), "");
  t.match(
    await c.icfs(["mirror", c.id, stick, "--prune"]),
    { code: 0 },
    "unknown entries in a mirror do not make later runs fail",
  );
  for (const name of there) {
    t.ok((await stat(join(stick, ".icfs", name))).isDirectory(), name);
    t.ok((await stat(join(stick, ".icfs/chunk", name))).isDirectory(), name);
  }
});

t.test("a run interrupted before anything has arrived leaves nothing behind", async (t) => {
  const parent = join(c.directory, "interrupted");
  let child: ChildProcess | undefined;
  let isMade = false;
  c.proxy.fault = faultFor("release", () => {
    isMade = existsSync(join(parent, "mirror/.icfs"));
    if (isMade) child!.kill("SIGINT");
    return isMade ? "silence" : "none";
  });
  const args = ["mirror", c.id, join(parent, "mirror"), "--network", c.proxy.url];
  const interrupted = await c.icfs(args, {
    started: (process) => {
      child = process;
    },
  });
  c.proxy.fault = () => "none";
  c.proxy.hangUp();
  t.equal(interrupted.code, 128 + 2);
  t.ok(isMade);
  t.notOk(existsSync(parent));
});

t.test("a failed run leaves nothing behind", async (t) => {
  const parent = join(c.directory, "nothing");
  const refused = await c.icfs(["mirror", `${c.id}@999`, join(parent, "mirror")]);
  t.match(refused, { code: 1, stderr: /999/ });
  t.equal(await stat(parent).catch(() => "none"), "none");
  await mkdir(join(parent, "mirror"), { recursive: true });
  t.match(await c.icfs(["mirror", `${c.id}@nobody`, join(parent, "mirror")]), { code: 1 });
  t.same(await readdir(join(parent, "mirror")), [], "an existing directory stays, and stays empty");
});
