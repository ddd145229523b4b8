/** Mounts that answer, are dead, hang, or do not exist; and which users can read them. */
import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { mounts } from "../../lib/doctor/mounts.ts";
import { mountedAt, mountpointFor, serve, sh } from "../mount/mounts.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";

t.test("a mount that answers, and the users who can read it", async (t) => {
  const place = await mountpointFor(t);
  await serve(t, place);
  const host = await hostWith(t, {}, { mountpoint: place });
  const answers = { level: "ok", message: `${place} (test) answers` };
  t.match(
    await mounts.run(host),
    exactly(answers, { level: "ok", message: `${place} can be read by the user nobody (tried)` }),
  );
  const user = await hostWith(t, {}, { mountpoint: place, isRoot: false });
  t.match(
    await mounts.run(user),
    exactly(answers, { level: "ok", message: /by its options \(allow_other\)/ }),
  );
  const mount = (await mountedAt(place))!;
  const alone = { ...mount, superOptions: mount.superOptions.filter((option) => option !== "allow_other") };
  t.match(
    await mounts.run({ ...host, mounts: async () => [alone] }),
    exactly(answers, {
      level: "warn",
      message: `${place} can be read by its user only (0), not by a TFTP server that runs as nobody or dnsmasq`,
    }),
  );
});

t.test("a mount below a directory that is closed to others", async (t) => {
  const { directory } = await hostWith(t, {});
  await chmod(directory, 0o700);
  const place = join(directory, "mnt");
  await sh("mkdir", place);
  const served = await serve(t, place);
  t.match(
    await mounts.run(await hostWith(t, {}, { mountpoint: place })),
    exactly(
      { level: "ok" },
      {
        level: "warn",
        message: /cannot be read by the user nobody: .*Permission denied/,
        advice: /chmod o\+x/,
      },
    ),
  );
  served.process.kill("SIGTERM");
  await served.ended;
});

t.test("a dead mount and a hung mount are reported, and a good one beside them answers", async (t) => {
  const [dead, hung, good] = [await mountpointFor(t), await mountpointFor(t), await mountpointFor(t)];
  const killed = await serve(t, dead);
  killed.process.kill("SIGKILL");
  await killed.ended;
  const stopped = await serve(t, hung);
  await serve(t, good);
  stopped.process.kill("SIGSTOP");
  // The check ends although the hung mount never answers.
  const found = await mounts.run(await hostWith(t, {}));
  const of = (place: string) => found.filter(({ message }) => message.startsWith(place));
  t.match(
    of(dead),
    exactly({
      level: "fail",
      message: /is a stale mount.*Transport endpoint is not connected/,
      advice: /icfs umount/,
    }),
  );
  t.match(
    of(hung),
    exactly({ level: "fail", message: /does not answer/, advice: /end it, and mount again/ }),
  );
  t.match(of(good), exactly({ level: "ok" }, { level: "ok" }));
});

t.test("a mountpoint where nothing is mounted yet, and places where nothing can be mounted", async (t) => {
  const place = await mountpointFor(t);
  const at = async (mountpoint: string) => mounts.run(await hostWith(t, {}, { mountpoint }));
  t.match(
    await at(place),
    exactly({ level: "warn", message: `nothing is mounted at ${place}`, advice: /^icfs mount CANISTER/ }),
  );
  const missing = join(place, "missing");
  t.match(
    await at(missing),
    exactly({ level: "fail", message: `${missing} does not exist`, advice: `mkdir -p ${missing}` }),
  );
  await writeFile(join(place, "file"), "");
  t.match(
    await at(join(place, "file")),
    exactly({ level: "fail", message: /is not a directory that can be used: ENOTDIR/ }),
  );
  await rm(join(place, "file"));
  t.match(
    await at("/proc"),
    exactly({ level: "fail", message: /^\/proc is in use: a file system of type proc/ }),
  );
});
