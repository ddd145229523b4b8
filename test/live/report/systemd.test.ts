/**
 * What a mount tells a service manager, through systemd's own systemd-notify. The test listens with a datagram socket. The
 * unit itself runs in a virtual machine (test/boot/host.boot.ts).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { MountStatus } from "../../../lib/live/report/status.ts";
import { ServiceManager, statusLine, takeNotifySocket } from "../../../lib/live/report/systemd.ts";
import { createLog } from "../../../lib/log.ts";
import { eventually, mountpointFor, sh } from "../../mount/mounts.ts";
import { exactly } from "../../support/exactly.ts";
import { BIN, temporaryDirectory } from "../../support/icfs.ts";
import { startMountable } from "../../support/mountable.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

interface Manager {
  readonly socket: string;
  /** The messages that it got. */
  readonly told: string[];
}

/** In Python, because Node has no datagram sockets. Closes the descriptors that come along: systemd-notify waits for that. */
async function listen(t: Test): Promise<Manager> {
  const socket = join(await temporaryDirectory(t), "notify");
  const script = `
import json, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print(json.dumps("listening"), flush=True)
while True:
    print(json.dumps(listener.recv(4096).decode()), flush=True)
`;
  const child = spawn("python3", ["-c", script, socket], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const told: string[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    told.push(
      ...lines.map((line) => JSON.parse(line) as string).filter((one) => !one.startsWith("BARRIER=")),
    );
  });
  await eventually("somebody listens", () => told.shift() === "listening");
  return { socket, told };
}

/** The parts of a status that the manager is told. */
const status = (more: object = {}, bytesVerified = 0) =>
  ({
    canister: ID,
    mountpoint: "/srv/tftp",
    release: 3,
    header: "00",
    hydrated: false,
    cache: { bytesVerified },
    ...more,
  }) as unknown as MountStatus;
const hydration = (bytesDone: number) => ({ files: 2, bytes: 1000, filesDone: 0, bytesDone });

t.test("the status in one line", (t) => {
  t.equal(statusLine(undefined), "asking the network for the newest release");
  t.equal(statusLine(status()), `release 3 of ${ID} at /srv/tftp`);
  const channels = [
    { channel: "canary", release: 2, next: { release: 4, state: "hydrating" } },
    { channel: "stable", release: 1 },
  ];
  t.equal(
    statusLine(status({ channels })),
    `canary (release 2), stable (release 1) of ${ID} at /srv/tftp; release 4 is hydrating`,
  );
  t.equal(statusLine(status({ channels: [] })), `no channel of ${ID} at /srv/tftp`);
  t.equal(
    statusLine(status({ hydration: hydration(419), problem: "closed" })),
    `release 3 of ${ID} at /srv/tftp; 41 % of it is here; the network does not answer`,
  );
  t.equal(
    statusLine(
      status({ hydrated: true, hydration: hydration(1000), next: { release: 4, state: "hydrating" } }),
    ),
    `release 3 of ${ID} at /srv/tftp; all of it is here; release 4 is hydrating`,
  );
  t.equal(statusLine(status({ mountpoint: "/srv/a\nREADY=1" })), `release 3 of ${ID} at /srv/a\\nREADY=1`);
  t.end();
});

t.test("NOTIFY_SOCKET is read once and removed from the environment", (t) => {
  process.env.NOTIFY_SOCKET = "/run/notify";
  t.equal(takeNotifySocket(), "/run/notify");
  t.equal(takeNotifySocket(), undefined);
  t.equal("NOTIFY_SOCKET" in process.env, false);
  process.env.NOTIFY_SOCKET = "";
  t.equal(takeNotifySocket(), undefined);
  t.end();
});

t.test("changes are sent in order, and a start that makes progress gets more time", async (t) => {
  const { socket, told } = await listen(t);
  const lines: string[] = [];
  const manager = new ServiceManager(
    socket,
    createLog("debug", (line) => lines.push(line)),
  );
  let now: MountStatus | undefined;
  const looks = t.capture(globalThis, "setInterval", (look: () => void) => {
    t.context.look = look;
    return { unref: () => undefined };
  });
  manager.follow(() => now);
  t.equal(looks().length, 1);
  const look = t.context.look as () => void;
  // The manager is told nothing more until it has read the last message.
  const isTold = (count: number) =>
    eventually(`it is told ${count} things`, () => {
      look();
      return told.length === count;
    });
  await isTold(1);
  now = status({ hydration: hydration(0) }, 100);
  await isTold(2);
  now = status({ hydration: hydration(0) }, 200);
  await isTold(3);
  await manager.ready(status({ hydrated: true }));
  now = status({ hydrated: true }, 300);
  look();
  await manager.stopping("unmounted");
  t.same(told, [
    "STATUS=asking the network for the newest release",
    `STATUS=release 3 of ${ID} at /srv/tftp; 0 % of it is here\nEXTEND_TIMEOUT_USEC=120000000`,
    "EXTEND_TIMEOUT_USEC=120000000",
    `READY=1\nSTATUS=release 3 of ${ID} at /srv/tftp; all of it is here`,
    "STOPPING=1\nSTATUS=unmounted",
  ]);
  t.same(lines, []);
});

t.test("a slow service manager gets the current status, not every earlier one", async (t) => {
  const { socket, told } = await listen(t);
  const manager = new ServiceManager(
    socket,
    createLog("debug", () => {}),
  );
  let bytesDone = 0;
  let look = () => {};
  t.capture(globalThis, "setInterval", (work: () => void) => {
    look = work;
    return { unref: () => undefined };
  });
  manager.follow(() => status({ hydration: hydration(bytesDone) }));
  for (bytesDone = 10; bytesDone < 500; bytesDone += 10) look();
  await eventually("it is told of the last", () => {
    look();
    return told.length > 1;
  });
  await manager.stopping("unmounted");
  t.match(told, exactly(/ 0 % of it is here/, / 50 % of it is here/, /^STOPPING=1/));
  t.equal(told.length, 3);
});

t.test("when nobody listens, a warning is logged and nothing fails", async (t) => {
  const lines: string[] = [];
  const manager = new ServiceManager(
    join(await temporaryDirectory(t), "nobody"),
    createLog("debug", (line) => lines.push(line)),
  );
  await manager.ready(status());
  t.match(lines, exactly(/ warn the service manager cannot be told READY=1, STATUS=release 3 .*: /));
  t.equal(lines.length, 1);
});

t.test(
  "icfs mount --foreground reports when it is ready, and its children do not get NOTIFY_SOCKET",
  async (t) => {
    const c = await startMountable(t);
    await c.publish({ "pxelinux.0": "loader\n" });
    const { socket, told } = await listen(t);
    const mountpoint = await mountpointFor(t);
    // Commands that write their environment to a file before they do their work.
    const [bin, seen] = [join(c.directory, "bin"), join(c.directory, "seen")];
    await mkdir(bin);
    for (const name of ["mount", "umount"]) {
      await writeFile(join(bin, name), `#!/bin/sh\nenv >>${seen}\nPATH=\${PATH#*:}\nexec ${name} "$@"\n`);
      await chmod(join(bin, name), 0o755);
    }
    const env = { ...c.env, PATH: `${bin}:${c.env.PATH}`, NOTIFY_SOCKET: socket, ICFS_TRANSPORT: "kernel" };
    const args = [
      "mount",
      "--foreground",
      "--ready",
      "hydrated",
      "--network",
      c.proxy.url,
      "--",
      c.id,
      mountpoint,
    ];
    const child = spawn(BIN, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    t.teardown(() => void child.kill("SIGKILL"));
    const ended = once(child, "exit");
    await eventually("it is ready", () => told.some((one) => one.startsWith("READY=1\n")));
    t.equal(told.at(-1), `READY=1\nSTATUS=release 1 of ${c.id} at ${mountpoint}; all of it is here`);
    t.match(await sh("cat", join(mountpoint, "pxelinux.0")), { code: 0, stdout: "loader\n" });
    child.kill("SIGTERM");
    t.same(await ended, [0, null]);
    t.equal(told.at(-1), "STOPPING=1\nSTATUS=unmounted");
    const environments = await readFile(seen, "utf8");
    t.match(environments, /^ICFS_TRANSPORT=kernel$/m);
    t.notMatch(environments, /NOTIFY_SOCKET/);
  },
);
