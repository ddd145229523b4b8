/** Files that are kept, and what else may have their names: none of that is waited for, or read without an end. */
import { execFileSync } from "node:child_process";
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { readKept, readKeptSync } from "../lib/kept-file.ts";
import { temporaryDirectory } from "./support/icfs.ts";

const MOST = 1000;

t.test("files are read, through links as well, and nothing else is", async (t) => {
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
  for (const name of ["a pipe", "a directory", "a device", "too large", "a socket", "a circle", "absent"]) {
    const code = { "a socket": "ENXIO", "a circle": "ELOOP", absent: "ENOENT" }[name];
    const error =
      code === undefined ? { message: /is no file|has 1001 bytes, and should have 1000/ } : { code };
    await t.rejects(readKept(at(name), MOST), error, name);
    t.throws(() => readKeptSync(at(name), MOST), error, name);
  }
});
