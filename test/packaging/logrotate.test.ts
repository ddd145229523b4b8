/** logrotate itself with the package's file, over mounts with their default log files; and a log on a full disk. */
import t, { type Test } from "tap";
import { eventually, HUNG } from "../mount/mounts.ts";
import { inOrder } from "../support/in-order.ts";
import { startSandbox } from "../support/sandbox.ts";

t.setTimeout(15 * HUNG);
const step = inOrder(t);

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

const host = await startSandbox(t, () => ({ ICFS_NETWORK: "local" }));

/** Runs commands on the host. @returns what they have printed */
async function done(t: Pick<Test, "equal">, commands: string): Promise<string> {
  const { code, stdout, stderr } = await host.sh(commands);
  t.equal(code, 0, commands, { stdout, stderr });
  return stdout;
}

/** The ids of the processes that serve mounts. */
const daemons = async () =>
  (await host.sh("icfs status --json | jq '.[].pid'")).stdout.trim().split("\n").map(Number);
/** The log files that a process has open in /var/log, by name. */
const logsOf = async (pid: number) =>
  (await host.sh(`readlink /proc/${pid}/fd/* | grep ^/var/log/ | sort -u || true`)).stdout;
const read = async (file: string) => (await host.sh(`cat ${file}`)).stdout;

step("a host with three mounts, by both transports and by mount(8)", async (t) => {
  await done(
    t,
    `ln -s /opt/icfs/bin/icfs /usr/local/bin/icfs
    ln -s /opt/icfs/bin/icfs /usr/sbin/mount.icfs
    install -m 644 /opt/icfs/packaging/debian/icfs.logrotate /etc/logrotate.d/icfs
    rm -f /var/log/icfs.log*
    mkdir -p /srv/a /srv/b /srv/c tree
    echo 1 >tree/file`,
  );
  t.match(await host.startNetwork(), { code: 0 });
  await done(
    t,
    `icfs deploy --specified-id ${ID}
    icfs publish tree ${ID}
    curl --silent http://127.0.0.1:4943/api/v2/status | od -An -v -tx1 | tr -d ' \\n' |
      grep -o '308182301d060d2b0601040182dc7c0503.\\{232\\}' >key
    icfs mount ${ID} /srv/a --quiet 0 --refresh 0
    mount -t icfs -o network=local,root-key=$PWD/key,quiet=0,refresh=0 ${ID} /srv/b
    icfs mount ${ID} /srv/c --quiet 0 --refresh 0 --transport fuse-native
    # Somebody whose stderr is the log, and whom the signal would end.
    sleep 600 >/dev/null 2>>/var/log/icfs.log & echo $! >bystander`,
  );
});

const ROTATIONS: [how: string, command: string, old: string][] = [
  ["once", "logrotate --force /etc/logrotate.d/icfs", "/var/log/icfs.log.1"],
  [
    "twice, where what is older is compressed",
    "logrotate --force /etc/logrotate.d/icfs",
    "/var/log/icfs.log.1",
  ],
  [
    "with a date for a name, and without the program, which may have been removed",
    "rm /usr/local/bin/icfs; { echo dateext; cat /etc/logrotate.d/icfs; } >dated; logrotate --force dated",
    "/var/log/icfs.log-????????",
  ],
];
let releases = 1;
for (const [how, command, old] of ROTATIONS) {
  step(`rotated ${how}`, async (t) => {
    const pids = await daemons();
    t.equal(pids.length, 3);
    const before = await read("/var/log/icfs.log");
    t.same(await host.sh(command), { code: 0, stdout: "", stderr: "" }, command);
    for (const pid of pids) {
      await eventually(
        "the daemon has the new one",
        async () => (await logsOf(pid)) === "/var/log/icfs.log\n",
      );
    }
    t.equal(await read(old), before, "the old log has all earlier lines");
    t.equal((await done(t, "stat -c '%a %U %G' /var/log/icfs.log")).trim(), "640 root adm");
    // SIGHUP has also asked for the newest release.
    releases += 1;
    await done(t, `echo ${releases} >tree/file && /opt/icfs/bin/icfs publish tree ${ID}`);
    await done(t, `kill -HUP ${pids.join(" ")}`);
    await eventually("each says in the new one that the release is live", async () => {
      const lines = (await read("/var/log/icfs.log")).match(new RegExp(`release ${releases} .*is live`, "g"));
      return lines?.length === 3;
    });
    t.equal(await read(old), before, "nothing more is written to the old log");
    t.equal((await host.sh("kill -0 $(cat bystander)")).code, 0, "an unrelated process is still running");
  });
}

step("older logs are compressed, and a purge would find all of them", async (t) => {
  const files = (await done(t, "ls /var/log/icfs.log*")).trim().split("\n");
  t.same(
    files.map((file) => file.replace(/\d{8}/, "DATE")),
    ["/var/log/icfs.log", "/var/log/icfs.log-DATE", "/var/log/icfs.log.1", "/var/log/icfs.log.2.gz"],
  );
});

step("the boot ledger is also rotated, keeps its owner, and remains one chain", async (t) => {
  const pen = "/opt/icfs/packaging/dnsmasq-ledger tftp 1 192.168.7.2 /srv/a/file";
  await done(t, "install -o nobody -g nogroup -m 640 /dev/null /var/log/icfs-boots.log");
  for (let i = 0; i < 3; i++) {
    await done(t, `setpriv --reuid nobody --regid nogroup --clear-groups ${pen}`);
    await done(t, "logrotate --force /etc/logrotate.d/icfs");
  }
  await done(t, pen);
  t.equal((await done(t, "stat -c '%a %U %G' /var/log/icfs-boots.log")).trim(), "640 nobody nogroup");
  t.match(await done(t, "ls /var/log/icfs-boots.log*"), /log\n.*log\.1\n.*log\.2\.gz\n.*log\.3\.gz\n/);
  t.match(await done(t, "/opt/icfs/bin/icfs boots --check"), /^4 lines in 4 files/);
});

step("a full log disk loses log lines and nothing else", async (t) => {
  await done(
    t,
    "ln -s /opt/icfs/bin/icfs /usr/local/bin/icfs; mkdir small && mount -t tmpfs -o size=64k small small",
  );
  await done(t, `mkdir /srv/d && icfs mount ${ID} /srv/d --log-file small/log --quiet 0 --refresh 0`);
  const pid = (await done(t, "icfs status /srv/d --json | jq '.[].pid'")).trim();
  // Fills the disk, and the rest of the log's last page as well.
  await done(t, "truncate -s %4096 small/log; cat /dev/zero >small/full || true");
  const before = await read("small/log");
  for (let i = 0; i < 2; i++) {
    releases += 1;
    await done(t, `echo ${releases} >tree/file && icfs publish tree ${ID} && kill -HUP ${pid}`);
    const live = async () => (await host.sh("cat /srv/d/file")).stdout.trim() === String(releases);
    await eventually("the mount goes on, and follows", live);
  }
  t.equal(await read("small/log"), before);
  await done(t, `mkdir /srv/e && (icfs mount ${ID} /srv/e --foreground >/dev/full 2>&1 &)`);
  const serves = async () => (await host.sh("cat /srv/e/file")).stdout.trim() === String(releases);
  await eventually("it serves in the foreground as well", serves);
  await done(t, "icfs umount /srv/e");
  await done(t, `rm small/full && icfs umount /srv/d`);
  t.match(
    await read("small/log"),
    /^\S+ warn \d+ lines are missing here: ENOSPC.*\n\S+ info \/srv\/d: unmounted/m,
  );
});
