/** Kept files, and other things that may have their names: none of those is waited for, or read without end. */
import { execFileSync } from "node:child_process";
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { readKept, readKeptSync, readNamedSync } from "../lib/kept-file.ts";
import { temporaryDirectory } from "./support/icfs.ts";

const MOST = 1000;

t.test("only files are read, also through links", async (t) => {
  const directory = await temporaryDirectory(t);
  const at = (name: string) => join(directory, name);
  await writeFile(at("file"), "content");
  await symlink("file", at("link"));
  await writeFile(at("empty"), "");
  for (const [name, content] of [
    ["file", "content"],
    ["link", "content"],
    ["empty", ""],
  ] as const) {
    const { bytes, status } = await readKept(at(name), MOST);
    t.equal(bytes.toString(), content, name);
    t.equal(status.size, content.length);
    t.equal(readKeptSync(at(name), MOST).toString(), content, name);
  }

  execFileSync("mkfifo", [at("a pipe")]);
  await mkdir(at("a directory"));
  await symlink("/dev/zero", at("a device"));
  await writeFile(at("too large"), "");
  await truncate(at("too large"), MOST + 1);
  const server = createServer().listen(at("a socket"));
  t.teardown(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  await symlink("a circle", at("a circle"));
  // A file that claims to have no bytes, and has no end.
  await symlink("/proc/self/pagemap", at("endless"));
  t.equal((await readKept(at("endless"), MOST)).bytes.length, 0);
  t.equal(readKeptSync(at("endless"), MOST).length, 0);
  for (const name of ["a pipe", "a directory", "a device", "too large", "a socket", "a circle", "absent"]) {
    const code = { "a socket": "ENXIO", "a circle": "ELOOP", absent: "ENOENT" }[name];
    const error =
      code === undefined ? { message: /is not a file|has 1001 bytes, and should have 1000/ } : { code };
    await t.rejects(readKept(at(name), MOST), error, name);
    t.throws(() => readKeptSync(at(name), MOST), error, name);
  }
});

t.test("a named file may be a shell's `<(command)`, but no other pipe and no device", async (t) => {
  const directory = await temporaryDirectory(t);
  const at = (name: string) => join(directory, name);
  await writeFile(at("file"), "content");
  t.equal(readNamedSync(at("file"), MOST).toString(), "content");
  execFileSync("mkfifo", [at("pipe")]);
  for (const path of [at("pipe"), "/dev/zero", directory]) {
    t.throws(() => readNamedSync(path, MOST), { message: /is not a file/ }, path);
  }
  t.throws(() => readNamedSync(at("absent"), MOST), { code: "ENOENT" });
  const script = `import { readNamedSync } from ${JSON.stringify(new URL("../lib/kept-file.ts", import.meta.url))};
    try { console.log(String(readNamedSync(process.argv[1], 1000))); } catch (error) { console.log(error.message); }`;
  for (const [command, said] of [
    ["sleep 0.1; printf some; sleep 0.1; printf thing", /^something\n$/],
    ["cat /dev/zero", /has more than 1000 bytes\n$/],
  ] as const) {
    const stdout = execFileSync("bash", [
      "-c",
      `"$0" --input-type=module -e "$1" <(${command})`,
      process.execPath,
      script,
    ]);
    t.match(stdout.toString(), said, command);
  }
});
