/**
 * A Debian host with the installed package mounts at boot: by lines of fstab, with an automount and without, and by icfs@.service. Its
 * network comes late, and at the second boot not at all. A process that serves a mount is killed. dnsmasq, as Debian starts it, serves
 * files from the mounts to a client on the network.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { deploy, publish, startLocalnet } from "../../demo/icfs.ts";
import { GUEST_ADDRESS, HOST_ADDRESS, makeNamespace, type Namespace, TAP } from "../../demo/namespace.ts";
import { Process, run } from "../../demo/process.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { resolveNetwork, rootKeyOf } from "../../lib/ic/network.ts";
import { debianRoot } from "../support/debian-root.ts";
import { documented, ON_A_MACHINE } from "../support/documented.ts";
import { make } from "../support/make.ts";
import { stackOf } from "../support/stack.ts";
import { configure, type Files, Guest, makeDisk } from "./guest.ts";
import { relay } from "./relay.ts";
import { HANGS_S, PATIENT, tftpUrl } from "./tftp-client.ts";

/** Milliseconds. The test takes ten minutes on a quiet machine. */
const LIMIT_MS = 3_600_000;
t.setTimeout(LIMIT_MS);

/** The canister's id in the documentation's line for fstab. */
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
/** The port at which the guest reaches the local network. */
const PORT = 4943;
const KEY = "/etc/icfs/root.key";
const NETWORK = `network=http://${HOST_ADDRESS}:${PORT},root-key=${KEY}`;
/** A kernel for virtual machines, and the package's dependencies. */
const PACKAGES = [
  ...["systemd-sysv", "udev", "dbus", "iproute2", "initramfs-tools", "linux-image-cloud-amd64"],
  ...["mount", "fuse3", "libfuse2", "libstdc++6", "dnsmasq", "systemd-timesyncd"],
];
/** Seconds for scripts that start Node, sometimes several at once. One start takes ten seconds on an emulated processor. */
const LATE = 300;
/** One mountpoint for each of the three ways to mount. */
const MOUNTPOINTS = ["/srv/tftp", "/srv/early", "/srv/pxe"];

/**
 * How long mounts wait for the network. They must not give up before the test connects the cable, and here Node alone takes ten seconds to
 * start, or a minute beside other tests. The step that shows a mount giving up sets its own limit.
 */
const PATIENT_MINUTES = 30;

const service = (mountpoint: string, ...more: string[]) =>
  [
    `CANISTER=${CANISTER}`,
    `MOUNTPOINT=${mountpoint}`,
    `ICFS_NETWORK=http://${HOST_ADDRESS}:${PORT}`,
    `ICFS_ROOT_KEY=${KEY}`,
    ...more,
    "",
  ].join("\n");

const FILES: Files = {
  // The documentation's lines, with the test's network, and a longer wait in the second line.
  "/etc/fstab": `/dev/vda / ext4 defaults 0 1
${CANISTER} /srv/tftp icfs ro,_netdev,nofail,x-systemd.automount,${NETWORK} 0 0
${CANISTER} /srv/early icfs ro,_netdev,nofail,x-systemd.before=dnsmasq.service,x-systemd.mount-timeout=${2 * PATIENT_MINUTES}min,retry=${PATIENT_MINUTES},${NETWORK} 0 0
`,
  "/etc/icfs/pxe.conf": service(
    "/srv/pxe",
    ...["ICFS_READY=hydrated", "ICFS_REFRESH=0", "ICFS_QUIET=1s", `ICFS_RETRY=${PATIENT_MINUTES}m`],
  ),
  "/etc/systemd/system/icfs@pxe.service.d/patience.conf": `[Service]\nTimeoutStartSec=${2 * PATIENT_MINUTES}min\n`,
  "/etc/icfs/cold.conf": service("/srv/cold", "ICFS_CACHE_DIR=/var/cache/icfs-cold", "ICFS_RETRY=5s"),
  "/etc/dnsmasq.d/tftp.conf": "port=0\nenable-tftp\ntftp-root=/srv/tftp\n",
};

function bytesFor(seed: string, size: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 32) }, (_, at) =>
    createHash("sha256").update(`${seed} ${at}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, size);
}

async function makeTree(tree: string, seed: string): Promise<void> {
  const sizes = {
    "pxelinux.0": 42_000,
    "pxelinux.cfg/default": 100,
    "images/linux": 3_500_000,
    "images/é 1": 0,
  };
  for (const [name, size] of Object.entries(sizes)) {
    await mkdir(dirname(join(tree, name)), { recursive: true });
    await writeFile(join(tree, name), bytesFor(seed + name, size));
  }
}

/** A script that prints the sums of all files in a directory, as the user "nobody" sees them: TFTP servers run as such a user. */
const sums = (directory: string) =>
  `cd ${directory} && setpriv --reuid 65534 --regid 65534 --clear-groups find -L . -type f -exec sha256sum {} + | LC_ALL=C sort -k 2`;
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
/** A line of sha256sum(1). */
const sumIn = async (directory: string, name: string) =>
  `${sha256(await readFile(join(directory, name)))}  ${name}`;

/** A script that prints a property of a unit. */
const property = (unit: string, name: string) => `systemctl show --value --property ${name} ${unit}`;

/** Makes the test's Debian, with the package installed. */
async function makeHost(root: string, rootKey: Uint8Array): Promise<void> {
  await debianRoot(root, { packages: PACKAGES });
  const [deb] = (await make("deb")).trim().split("\n").slice(-1);
  await cp(join(import.meta.dirname, "../..", deb!), join(root, "icfs.deb"));
  const chroot = ["--mount", "--propagation", "private", "chroot", root];
  await run("unshare", [...chroot, "dpkg", "--install", "/icfs.deb"], { seconds: 120 });
  for (const mountpoint of [...MOUNTPOINTS, "/srv/cold"]) await mkdir(join(root, mountpoint));
  await configure(root, FILES, ["dnsmasq", "icfs@pxe"]);
  await writeFile(join(root, KEY), rootKey);
}

/** Lets the guest reach the local IC network, and nothing else. */
async function connectNetwork(
  stack: AsyncDisposableStack,
  namespace: Namespace,
  directory: string,
  url: string,
) {
  const path = join(directory, "relay");
  const { hostname, port } = new URL(url);
  const outside = relay({ host: hostname, port: Number(port) }).listen(path);
  stack.defer(() => void outside.close());
  await once(outside, "listening");
  const script = join(import.meta.dirname, "relay.ts");
  const inside = stack.use(
    new Process(...namespace.inside(process.execPath, [script, HOST_ADDRESS, String(PORT), path])),
  );
  await inside.until(/relays/, { seconds: 30 });
}

t.test("a host that mounts at boot", { timeout: LIMIT_MS }, async (t) => {
  const stack = stackOf(t);
  const { directory, env } = stack.use(await makeWorkspace("icfs-host"));
  const tree = join(directory, "tree");
  await makeTree(tree, "first");
  await symlink("images/linux", join(tree, "latest"));
  const { localnet, url } = await startLocalnet({ env });
  stack.use(localnet);
  await deploy(CANISTER, url, { env });
  await publish(tree, CANISTER, url, { env });
  const expected = async () => (await run("sh", ["-c", sums(tree)])).trim();

  const [root, disk] = [join(directory, "root"), join(directory, "disk")];
  await makeHost(root, await rootKeyOf(resolveNetwork(url), undefined));
  await makeDisk(root, disk);
  const namespace = stack.use(await makeNamespace(`icfs-host-${process.pid}`));
  await connectNetwork(stack, namespace, directory, url);
  const cable = (state: "up" | "down") => run("ip", ["-n", namespace.name, "link", "set", TAP, state]);
  const boot = async () => stack.use(await Guest.start(namespace, { root, disk, env }));
  let downloads = 0;
  /** Fetches a file as a client on the network. */
  const tftp = async (name: string) => {
    downloads += 1;
    const to = join(directory, `download-${downloads}`);
    const args = ["--silent", "--show-error", ...PATIENT, "--output", to, tftpUrl(GUEST_ADDRESS, name)];
    await run(...namespace.inside("curl", args), { env, seconds: HANGS_S });
    return readFile(to);
  };
  const isMounted = async (guest: Guest) =>
    (await guest.ask(`awk '$3 == "fuse.icfs" { print $2, $1 }' /proc/mounts | sort`)).split("\n");
  const ALL = MOUNTPOINTS.toSorted().map((mountpoint) => `${mountpoint} ${CANISTER}`);
  /** Checks that the host has booted without a failed unit, and that every mount has the expected files. */
  const isWell = async (t: Test, guest: Guest) => {
    const { output } = await guest.run(
      "systemctl is-system-running --wait; systemctl --failed --no-legend",
      LATE,
    );
    t.equal(output.trim(), "running", "the host boots without a failed unit");
    t.same(await isMounted(guest), ALL);
    for (const mountpoint of MOUNTPOINTS)
      t.equal(await guest.ask(sums(mountpoint)), await expected(), mountpoint);
    const order = ["srv-early.mount", "icfs@pxe", "dnsmasq"];
    const times = order.map((unit) => property(unit, "ActiveEnterTimestampMonotonic")).join(" && ");
    const [early, pxe] = (await guest.ask(times)).split("\n").map(Number);
    const began = Number(await guest.ask(property("dnsmasq", "InactiveExitTimestampMonotonic")));
    t.ok(early! < began && pxe! < began, "dnsmasq starts after the mounts that it is ordered after");
    const online = Number(
      await guest.ask(property("network-online.target", "ActiveEnterTimestampMonotonic")),
    );
    t.ok(
      online > 0 && online < Math.min(early!, pxe!),
      "the mounts are active only after the network is online",
    );
    t.equal(sha256(await tftp("pxelinux.0")), sha256(await readFile(join(tree, "pxelinux.0"))), "TFTP");
    t.equal(
      sha256(await tftp("latest")),
      sha256(await readFile(join(tree, "latest"))),
      "TFTP serves a link's target",
    );
  };

  await t.test("with an empty cache, and a network that comes up late", async (t) => {
    await cable("down");
    const guest = await boot();
    // A reader waits for the automount, and tries again when systemd gives up, which it does after 90 s.
    const look = `until cd /srv/tftp; do sleep 1; done; ${sums(".")} >/run/found && mv /run/found /run/looked`;
    await guest.ask(`( ${look} ) 2>/dev/null &`);
    await guest.until("journalctl -u icfs@pxe | grep -q 'trying again'");
    await guest.until("test $(grep -c 'trying again' /var/log/icfs.log) -gt 1");
    t.same(await isMounted(guest), [""]);
    t.match(await guest.ask("systemctl list-jobs"), /dnsmasq\.service +start +waiting/);
    t.equal(await guest.ask(property("icfs@pxe", "StatusText")), "asking the network for the newest release");
    await cable("up");
    await isWell(t, guest);
    await guest.until("test -e /run/looked");
    t.equal(
      await guest.ask("cat /run/looked"),
      await expected(),
      "a reader from before the network came up gets every file",
    );

    await t.test("the service", async (t) => {
      const status = `release 1 of ${CANISTER} at /srv/pxe; all of it is here`;
      t.equal(await guest.ask(property("icfs@pxe", "StatusText")), status);
      const pid = await guest.ask(property("icfs@pxe", "MainPID"));
      t.equal(
        await guest.ask(`readlink /proc/${pid}/ns/mnt`),
        await guest.ask("readlink /proc/1/ns/mnt"),
        "the service runs in the host's mount namespace",
      );
      t.match(
        await guest.ask(`cat /proc/${pid}/status`),
        /^NoNewPrivs:\s1\n(.*\n)*Seccomp:\s2$/m,
        "confined",
      );

      await t.test("systemctl reload switches to the new release", async (t) => {
        await makeTree(tree, "second");
        await publish(tree, CANISTER, url, { env });
        await guest.ask("systemctl reload icfs@pxe");
        await guest.until(
          `test "$(cd /srv/pxe && sha256sum images/linux)" = "${await sumIn(tree, "images/linux")}"`,
          LATE,
        );
        t.equal(await guest.ask(sums("/srv/pxe")), await expected());
      });

      await t.test("after SIGKILL, the service mounts again and dnsmasq keeps running", async (t) => {
        await guest.ask("sed -i s,/srv/tftp,/srv/pxe, /etc/dnsmasq.d/tftp.conf && systemctl restart dnsmasq");
        const dnsmasq = await guest.ask(property("dnsmasq", "MainPID"));
        // The script must look at once, because the service mounts again some seconds later.
        t.match(
          await guest.run(`kill -KILL ${pid}; while test -e /proc/${pid}; do :; done; ls /srv/pxe`),
          { output: /Transport endpoint is not connected/ },
          "the mountpoint of a killed service gives an error, not an empty directory",
        );
        await guest.until(
          `systemctl is-active icfs@pxe && test $(${property("icfs@pxe", "MainPID")}) -ne ${pid}`,
          LATE,
        );
        t.same(await isMounted(guest), ALL, "nothing is mounted twice");
        t.equal(await guest.ask(sums("/srv/pxe")), await expected());
        t.equal(sha256(await tftp("images/linux")), sha256(await readFile(join(tree, "images/linux"))));
        t.equal(await guest.ask(property("dnsmasq", "MainPID")), dnsmasq);
        await guest.ask("sed -i s,/srv/pxe,/srv/tftp, /etc/dnsmasq.d/tftp.conf && systemctl restart dnsmasq");
      });

      await t.test("stopping the service unmounts, and starting it mounts again", async (t) => {
        await guest.ask("systemctl stop icfs@pxe");
        t.same(
          await isMounted(guest),
          ALL.filter((line) => !line.startsWith("/srv/pxe ")),
        );
        t.equal(await guest.ask(property("icfs@pxe", "Result")), "success");
        await guest.ask("systemctl start icfs@pxe", LATE);
        t.equal(
          await guest.ask(sums("/srv/pxe")),
          await expected(),
          "the files can be read as soon as systemctl start returns",
        );
      });

      await t.test("the service ends successfully when it is unmounted by hand", async (t) => {
        await guest.ask("umount /srv/pxe");
        await guest.until("test $(systemctl is-active icfs@pxe) = inactive");
        t.equal(await guest.ask(property("icfs@pxe", "Result")), "success");
        await guest.ask("systemctl start icfs@pxe", LATE);
      });

      await t.test(
        "the service fails to start when the network does not come up in time, and keeps retrying",
        async (t) => {
          await cable("down");
          t.not(
            (await guest.run("systemctl start icfs@cold", LATE)).code,
            0,
            "systemctl start fails while the network is down",
          );
          await guest.until(`test $(${property("icfs@cold", "NRestarts")}) -gt 0`, LATE);
          await cable("up");
          await guest.until("systemctl is-active icfs@cold", LATE);
          t.equal(await guest.ask(sums("/srv/cold")), await expected());
          await guest.ask("systemctl stop icfs@cold");
        },
      );
    });

    await t.test("the documentation's commands", async (t) => {
      const conf = await documented("MOUNT.md", "As a service", "conf");
      const network = service("", "").split("\n").slice(2).join("\n");
      const file =
        conf.replace("CANISTER=ID", `CANISTER=${CANISTER}`).replace("/srv/tftp", "/srv/cold") + network;
      await guest.ask(`cat > /etc/icfs/tftp.conf <<'END'\n${file}\nEND`);
      await guest.ask(`set -e\n${await documented("MOUNT.md", "As a service")}`, LATE);
      t.equal(await guest.ask(sums("/srv/cold")), await expected());
      await guest.ask("systemctl disable --now icfs@tftp");
      await guest.ask(`set -e\n${await documented("MOUNT.md", "At boot")}`, LATE);
      for (const command of ON_A_MACHINE) t.equal((await guest.run(command)).code, 0, command);
    });

    await t.test("an fstab mount whose process was killed can be restarted", async (t) => {
      await guest.ask(
        "kill -KILL $(systemctl show --value --property ControlGroup srv-early.mount | sed 's,^,/sys/fs/cgroup,; s,$,/cgroup.procs,' | xargs cat)",
      );
      await guest.until("! ls /srv/early");
      await guest.ask("systemctl restart srv-early.mount", LATE);
      t.equal(await guest.ask(sums("/srv/early")), await expected());
    });

    await t.test(
      "the doctor does not trigger an automount, and mount(8) by hand mounts over it",
      async (t) => {
        await guest.ask("systemctl stop srv-tftp.mount", LATE);
        const types = "findmnt -rn -o FSTYPE /srv/tftp";
        t.equal(await guest.ask(types), "autofs");
        const asks = `icfs doctor /srv/tftp --network http://${HOST_ADDRESS}:${PORT} --root-key ${KEY}`;
        const { output } = await guest.run(asks, LATE);
        t.match(output, /^warn +mount: nothing is mounted at \/srv\/tftp yet: an automount/m);
        t.equal(await guest.ask(types), "autofs");
        await guest.ask("mount /srv/tftp", LATE);
        t.equal(await guest.ask(types), "autofs\nfuse.icfs");
        t.equal(await guest.ask(sums("/srv/tftp")), await expected());
      },
    );

    const console = await guest.powerOff();
    // systemd reports a job that takes some seconds. It kills a job that hangs, after 30 s at the earliest.
    t.notMatch(console, /Failed unmounting|stop job is running[^\r\n]*\((\d+min|2[5-9]s|[3-5]\ds)/i);
    t.match(console, /Unmounted .*\/srv\/early/);
  });

  await t.test("with a filled cache, and no network", async (t) => {
    await cable("down");
    const guest = await boot();
    await guest.ask("systemctl is-system-running --wait", LATE);
    for (const mountpoint of MOUNTPOINTS)
      t.equal(await guest.ask(sums(mountpoint)), await expected(), mountpoint);
    // The TFTP client needs the cable.
    await cable("up");
    await isWell(t, guest);
    t.match(await guest.ask("journalctl -b -u icfs@pxe"), /serves what was kept on this host/);
    await guest.powerOff();
  });
});
