/**
 * A mount namespace for mount(8), umount(8) and findmnt(8) over mounts of type icfs. Its /sbin has the helper; this machine's
 * /sbin is left alone. The environment has none of the variables that mount(8) removes.
 */
import { mkdir, realpath, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { processesWith } from "../../demo/process.ts";
import { BIN, HUNG, type Result, run, type Test } from "../support/icfs.ts";
import { startMountable } from "../support/mountable.ts";
import { makeNamespaces } from "../support/namespaces.ts";
import { eventually } from "./mounts.ts";

/** mount(8) may have to wait for a network, by default for two minutes. */
const PATIENCE = 3 * HUNG;

/** Writes a file in `directory` that becomes the namespace's /etc/fstab when the namespace starts. @returns its path */
export async function writeFstab(directory: string, ...lines: string[]): Promise<string> {
  const file = join(directory, "fstab");
  await writeFile(file, lines.map((line) => `${line}\n`).join(""));
  return file;
}

/** Where a daemon in such a namespace logs by default. */
export function logOf(directory: string): string {
  return join(directory, "host-state", "icfs", "icfs.log");
}

/** Makes a namespace with the helper under both names. @returns a function that runs commands in it. Its mounts end with the test */
export async function mountNamespace(
  t: Test,
  directory: string,
): Promise<(program: string, ...args: string[]) => Promise<Result>> {
  const helpers = join(directory, "sbin");
  await mkdir(helpers);
  for (const name of ["mount.icfs", "mount.fuse.icfs"]) await symlink(BIN, join(helpers, name));
  const sbin = await realpath("/sbin");
  const device = join(directory, "fuse");
  // mount(8) records in /run/mount what /proc/mounts lacks. Users can only use /etc/fstab, and need a /dev/fuse.
  const init = await makeNamespaces(
    t,
    `mount -t proc proc /proc
    mkdir -p /run/mount
    mount -t tmpfs tmpfs /run/mount
    mount -t overlay overlay -o lowerdir=${helpers}:${sbin} ${sbin}
    mount --bind ${await writeFstab(directory)} /etc/fstab
    mknod -m 666 ${device} c 10 229
    mount --bind ${device} /dev/fuse`,
  );
  const env = {
    PATH: "/usr/bin:/bin:/usr/sbin:/sbin",
    HOME: "",
    LC_ALL: "C.UTF-8",
    XDG_STATE_HOME: join(directory, "host-state"),
    XDG_CACHE_HOME: join(directory, "host-cache"),
  };
  const within = (program: string, ...args: string[]) =>
    run("nsenter", ["--mount", "--pid", "--target", init, "--", program, ...args], {
      env,
      limit: PATIENCE,
    });
  return within;
}

/** Waits until no process serves the mount any more. */
export async function daemonEnds(mountpoint: string): Promise<void> {
  await eventually(
    "the mount's daemon has ended",
    () => !processesWith(mountpoint).some(({ command }) => command.includes("mount-helper-main")),
  );
}

/** Publishes a small release, and makes a namespace whose mount(8) can mount it. */
export async function startMountHost(t: Test) {
  const canister = await startMountable(t);
  const { directory, proxy, publish, rootKey } = canister;
  await publish({ "pxelinux.0": "loader\n", "pxelinux.cfg/default": "menu\n" });
  const keyFile = join(directory, "root.key");
  await writeFile(keyFile, rootKey);
  return {
    ...canister,
    keyFile,
    /** Options of mount(8). */
    network: `network=${proxy.url},root-key=${keyFile}`,
    within: await mountNamespace(t, directory),
    fstab: (...lines: string[]) => writeFstab(directory, ...lines),
    /** Makes a directory. @returns its path */
    async mountpoint(name: string): Promise<string> {
      const path = join(directory, name);
      await mkdir(path);
      return path;
    },
  };
}
