/** Which process answers for a mount: only one of this user's, in a directory where nobody else can put anything. */
import { chmod, chown, lchown, lstat, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Mount } from "../../../lib/fs/mounting/mountinfo.ts";
import { askStatus, serveControl } from "../../../lib/live/report/control.ts";
import type { MountStatus } from "../../../lib/live/report/status.ts";
import { createLog } from "../../../lib/log.ts";
import { eventually } from "../../mount/mounts.ts";
import { temporaryDirectory } from "../../support/icfs.ts";

const NOBODY = 65534;
const mount = { device: "0:77", mountpoint: "/srv/tftp" } as Mount;
const status = { canister: "ours" } as MountStatus;

/** Makes this process look like one of a user other than root, as far as it asks for its own user id. */
async function asNobody(t: Test): Promise<{ readonly runtime: string; readonly directory: string }> {
  const runtime = await temporaryDirectory(t);
  const { getuid, geteuid } = process;
  const { XDG_RUNTIME_DIR } = process.env;
  t.teardown(() => {
    Object.assign(process, { getuid, geteuid });
    if (XDG_RUNTIME_DIR === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = XDG_RUNTIME_DIR;
  });
  Object.assign(process, { getuid: () => NOBODY, geteuid: () => NOBODY });
  process.env.XDG_RUNTIME_DIR = runtime;
  return { runtime, directory: join(runtime, "icfs") };
}

function served(t: Test) {
  const logged: string[] = [];
  const control = serveControl(
    mount,
    () => status,
    createLog("info", (line) => logged.push(line)),
  );
  t.teardown(() => control.close());
  return { control, logged };
}

t.test("neither the mount nor icfs status uses a directory that others control", async (t) => {
  const { runtime, directory } = await asNobody(t);
  const cases: Record<string, [make: () => Promise<unknown>, message: RegExp]> = {
    "another user's": [
      async () => {
        await mkdir(directory, { mode: 0o777 });
        await chown(directory, 1234, 1234);
      },
      /icfs belongs to another user: have its owner remove it, or set XDG_RUNTIME_DIR/,
    ],
    "open to a group": [
      async () => {
        await mkdir(directory);
        await chown(directory, NOBODY, NOBODY);
        await chmod(directory, 0o770);
      },
      /others can write to \S+icfs: chmod 700 it/,
    ],
    "a link to what is this user's": [
      async () => {
        const own = join(runtime, "own");
        await mkdir(own, { mode: 0o700 });
        await chown(own, NOBODY, NOBODY);
        await symlink(own, directory);
        await lchown(directory, 1234, 1234);
      },
      /icfs is a symbolic link, and others may have made it/,
    ],
    "a file": [() => writeFile(directory, ""), /icfs/],
  };
  for (const [name, [make, message]] of Object.entries(cases)) {
    await make();
    const { control, logged } = served(t);
    t.match(logged.join(), message, name);
    t.match(logged.join(), /icfs status cannot ask this mount/);
    await t.rejects(
      askStatus(mount),
      { name: "UserError", message: name === "a file" ? /./ : message },
      name,
    );
    control.close();
    await rm(directory, { recursive: true });
  }
});

t.test("icfs status asks only a socket that belongs to this user", async (t) => {
  const { directory } = await asNobody(t);
  await mkdir(directory, { mode: 0o700 });
  await chown(directory, NOBODY, NOBODY);
  const socket = join(directory, "0-77.sock");
  await writeFile(socket, "");
  await chown(socket, NOBODY, NOBODY);
  await t.rejects(askStatus(mount), { message: /0-77\.sock is not a socket/ });
  await rm(socket);
  const other = createServer((connection) => connection.end("HTTP/1.1 200 OK\r\n\r\n{}"));
  t.teardown(() => void other.close());
  await new Promise<void>((resolve) => other.listen(socket, resolve));
  await t.rejects(askStatus(mount), { message: /0-77\.sock belongs to another user/ });
  await chown(socket, NOBODY, NOBODY);
  t.same(await askStatus(mount), {});
});

t.test("the longest path that a socket can have works", async (t) => {
  const { runtime } = await asNobody(t);
  const MOST_BYTES = 107;
  const long = join(runtime, "x".repeat(MOST_BYTES - `${runtime}//icfs/0-77.sock`.length));
  t.equal(join(long, "icfs/0-77.sock").length, MOST_BYTES);
  await mkdir(join(long, "icfs"), { recursive: true });
  for (const path of [long, join(long, "icfs")]) await chown(path, NOBODY, NOBODY);
  process.env.XDG_RUNTIME_DIR = long;
  const { control, logged } = served(t);
  const socket = join(long, "icfs/0-77.sock");
  await control.listening;
  t.same(logged, []);
  await chown(socket, NOBODY, NOBODY);
  t.match(await askStatus(mount), status);
});

t.test("a mount replaces the socket of a dead mount, and leaves that of a later mount alone", async (t) => {
  const { directory } = await asNobody(t);
  await mkdir(directory, { mode: 0o700 });
  const socket = join(directory, "0-77.sock");
  await writeFile(socket, "of a killed one");
  const { control: first } = served(t);
  const isSocket = async () => (await lstat(socket)).isSocket();
  await eventually("it listens", isSocket);
  t.equal((await lstat(socket)).mode & 0o777, 0o600);
  await chown(socket, NOBODY, NOBODY);
  t.match(await askStatus(mount), status);

  // The kernel gives the same number to another mount before the first one's process has ended.
  const { ino } = await lstat(socket);
  const { control: second } = served(t);
  await eventually("another listens", async () => (await lstat(socket)).ino !== ino);
  first.close();
  await chown(socket, NOBODY, NOBODY);
  t.match(await askStatus(mount), status, "the later mount answers");
  second.close();
  await eventually("nothing is left", async () => (await readdir(directory)).length === 0);
});
