/** A daemon's log that is moved away and opened again, or cannot be opened. It is the stdout and stderr of a process of its own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, rmSync, writeFileSync } from "node:fs";
import {
  chmod,
  chown,
  lchown,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { prepareLogDirectory } from "../../lib/process/log-file.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { plain } from "../support/plain.ts";

const MODULE = fileURLToPath(new URL("../../lib/process/log-file.ts", import.meta.url));
/** Does what it is told, and says how that went. */
const PROGRAM = `
  import { open, renameSync } from "node:fs";
  import { LogFile } from ${JSON.stringify(MODULE)};
  const path = process.argv[1];
  const file = new LogFile(path);
  const commands = {
    write: (text) => file.write(text + "\\n"),
    reopen: () => file.reopen(),
    // Node's own messages.
    stderr: (text) => process.stderr.write(text + "\\n"),
    stdout: (text) => process.stdout.write(text + "\\n"),
    // Other threads open files all the time.
    async busy(times) {
      let over = false;
      const opening = (done) => open("/dev/zero", (error, descriptor) => {
        if (error) throw error;
        closing(descriptor, done);
      });
      const { close } = await import("node:fs");
      const closing = (descriptor, done) => close(descriptor, () => (over ? done() : opening(done)));
      const loops = Array.from({ length: 4 }, () => new Promise((done) => opening(done)));
      for (let i = 0; i < times; i++) {
        file.write("line " + i + "\\n");
        renameSync(path, path + "." + i);
        file.reopen();
        await new Promise(setImmediate);
      }
      over = true;
      await Promise.all(loops);
    },
  };
  process.on("message", async ([command, argument]) => {
    try {
      await commands[command](argument);
      process.send("done");
    } catch (error) {
      process.send(error.code ?? error.message);
    }
  });
  process.send("ready");
`;

interface Daemon {
  readonly path: string;
  readonly directory: string;
  /** The answer: `done`, or the error's code. */
  tell(command: string, argument?: string | number): Promise<string>;
  /** The files that the process has open, by descriptor. */
  descriptors(): Promise<Record<string, string>>;
}

async function start(t: Test): Promise<Daemon> {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, "log"));
  const path = join(directory, "log/icfs.log");
  const log = openSync(path, "a+", 0o640);
  const [program, args] = plain(process.execPath, ["--input-type=module", "--eval", PROGRAM, path]);
  const child: ChildProcess = spawn(program, args, { stdio: ["ignore", log, log, "ipc"] });
  closeSync(log);
  t.teardown(() => child.kill("SIGKILL"));
  await once(child, "message");
  return {
    path,
    directory,
    async tell(...command) {
      const answer = once(child, "message");
      child.send(command);
      return String((await answer)[0]);
    },
    async descriptors() {
      const at = `/proc/${child.pid}/fd`;
      const open = await Promise.all(
        (await readdir(at)).map(async (number) => [number, await readlink(join(at, number)).catch(() => "")]),
      );
      return Object.fromEntries(open);
    },
  };
}

t.test("reopening the log after it was moved away makes a new file", async (t) => {
  const { path, directory, tell, descriptors } = await start(t);
  await tell("write", "one");
  await rename(path, `${path}.1`);
  await tell("write", "two");
  t.equal(
    await readFile(`${path}.1`, "utf8"),
    "one\ntwo\n",
    "the moved file is written to until the log is reopened",
  );
  const before = Object.keys(await descriptors()).length;
  for (const [i, text] of ["three", "four"].entries()) {
    t.equal(await tell("reopen"), "done");
    await tell("write", text);
    await tell("stderr", `stderr ${text}`);
    await tell("stdout", `stdout ${text}`);
    t.equal(await readFile(path, "utf8"), `${text}\nstderr ${text}\nstdout ${text}\n`);
    const open = await descriptors();
    t.same([open[1], open[2]], [path, path], "stdout and stderr go to the new file too");
    t.same(
      Object.values(open).filter((name) => /icfs\.log\./.test(name)),
      [],
      "no descriptor refers to an old file",
    );
    t.equal(Object.keys(open).length, before + 1, "reopening leaks no descriptor");
    if (i === 0) await rename(path, `${path}.2`);
  }
  await tell("reopen");
  await tell("write", "five");
  t.match(await readFile(path, "utf8"), /^four\n.*five\n$/s, "a log that was not moved is appended to");
  await rm(join(directory, "log"), { recursive: true });
  t.equal(await tell("reopen"), "done");
  await tell("write", "six");
  t.equal(await readFile(path, "utf8"), "six\n", "a missing directory is created");
});

t.test("when the log cannot be reopened, it goes on in the old file", async (t) => {
  const { path, directory, tell } = await start(t);
  await rename(join(directory, "log"), join(directory, "moved"));
  writeFileSync(join(directory, "log"), "");
  t.match(await tell("reopen"), /^E/);
  await tell("write", "one");
  await tell("stderr", "two");
  t.equal(
    await readFile(join(directory, "moved/icfs.log"), "utf8"),
    "one\ntwo\n",
    "writing continues in the old file",
  );
  rmSync(join(directory, "log"));
  t.equal(await tell("reopen"), "done");
  await tell("write", "three");
  t.equal(await readFile(path, "utf8"), "three\n", "the next reopening switches to the new file");
});

t.test("a pipe in the log's place is refused at once, and nothing is written to it", async (t) => {
  const { path, tell, descriptors } = await start(t);
  await rename(path, `${path}.1`);
  execFileSync("mkfifo", [path]);
  t.equal(await tell("reopen"), "ENXIO", "a pipe without a reader is refused");
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.match(await tell("reopen"), /icfs\.log is not a file$/, "a pipe with a reader is refused");
  closeSync(reader);
  await tell("write", "one");
  t.equal(await readFile(`${path}.1`, "utf8"), "one\n");
  const open = await descriptors();
  t.same([open[1], open[2]], [`${path}.1`, `${path}.1`]);
  rmSync(path);
  t.equal(await tell("reopen"), "done");
  await tell("write", "two");
  t.equal(await readFile(path, "utf8"), "two\n");
});

t.test("no line goes to another file while other threads open files", async (t) => {
  const { path, directory, tell, descriptors } = await start(t);
  const times = 300;
  t.equal(await tell("busy", times), "done");
  await tell("write", "last");
  for (let i = 0; i < times; i++) t.equal(await readFile(`${path}.${i}`, "utf8"), `line ${i}\n`);
  t.equal(await readFile(path, "utf8"), "last\n");
  t.equal((await readdir(join(directory, "log"))).length, times + 1);
  const logs = Object.values(await descriptors()).filter((name) => name.startsWith(directory));
  t.ok(logs.length <= 3 && logs.every((name) => name === path), "it has the newest open, and no other", {
    logs,
  });
});

t.test("a log is refused in a place where others can put a file", async (t) => {
  const directory = await temporaryDirectory(t);
  const at = (...names: string[]) => join(directory, ...names);
  const { umask } = process;
  t.teardown(() => umask(0o022));
  umask(0);
  prepareLogDirectory(at("new/below/log"));
  umask(0o022);
  for (const name of ["new", "new/below"])
    t.equal((await stat(at(name))).mode & 0o777, 0o755, "the new directories are not writable by others");
  const refused = (path: string, message: RegExp) =>
    t.throws(() => prepareLogDirectory(path), { name: "UserError", message });

  await mkdir(at("others"));
  await chown(at("others"), 65534, 65534);
  refused(at("others/log"), /others belongs to another user: choose another file with --log-file/);
  await symlink(at("new"), at("link"));
  prepareLogDirectory(at("link/log"));
  await lchown(at("link"), 65534, 65534);
  refused(at("link/log"), /link is a symbolic link, and others may have made it: choose another file/);
  await mkdir(at("open"));
  await chmod(at("open"), 0o777);
  refused(at("open/log"), /others can write to \S+open: chmod 700 it, or choose another file/);
  await chmod(at("open"), 0o775);
  prepareLogDirectory(at("open/log"));

  await t.test("a user's own directory may be writable by their group, as with a umask of 002", async (t) => {
    const { geteuid } = process;
    t.teardown(() => void Object.assign(process, { geteuid }));
    Object.assign(process, { geteuid: () => 1234 });
    await mkdir(at("shared"));
    await chmod(at("shared"), 0o2775);
    await chown(at("shared"), 1234, 1234);
    prepareLogDirectory(at("shared/log"));
    for (const [owner, isGood] of [
      [1234, true],
      [0, true],
      [65534, false],
    ] as const) {
      await writeFile(at("shared/log"), "");
      await chown(at("shared/log"), owner, 1234);
      if (isGood) prepareLogDirectory(at("shared/log"));
      else refused(at("shared/log"), /shared\/log belongs to another user: choose another file/);
    }
    await rm(at("shared/log"));
    await symlink(at("new/other"), at("shared/log"));
    await lchown(at("shared/log"), 65534, 65534);
    refused(at("shared/log"), /shared\/log belongs to another user: choose another file/);
    await chmod(at("shared"), 0o777);
    refused(at("shared/log"), /others can write to \S+shared: chmod 700 it/);
  });

  await t.test("in /tmp and the like, only other users' files are refused", async (t) => {
    await chmod(at("open"), 0o1777);
    prepareLogDirectory(at("open/log"));
    await writeFile(at("open/log"), "");
    prepareLogDirectory(at("open/log"));
    await symlink("/etc/passwd", at("open/planted"));
    for (const name of ["log", "planted"]) {
      await lchown(at("open", name), 65534, 65534);
      t.throws(() => prepareLogDirectory(at("open", name)), {
        message: new RegExp(`open/${name} belongs to another user: choose another file with --log-file`),
      });
    }
  });
  for (const device of ["/dev/null", "/dev/stderr"]) prepareLogDirectory(device);
});
