/** Whether mounts answer, and who can read them. Only child processes with a time limit touch a mount. */
import { messageOf } from "../errors.ts";
import { automounts } from "../fs/mounting/automount.ts";
import { MOUNT_TYPE, type Mount, mountAt } from "../fs/mounting/mountinfo.ts";
import { type Inspection, inspect } from "../fs/mounting/probe.ts";
import { askStatus } from "../live/report/control.ts";
import { type CommandResult, run } from "../process/command.ts";
import { servedInWords } from "../source/words.ts";
import { type Check, type Finding, fail, ok, warn } from "./check.ts";
import type { Context } from "./context.ts";
import { replacedNetwork } from "./replaced-network.ts";

/** nobody, on every system. */
const NOBODY = 65534;
/** Milliseconds; the names of a directory come from a mount's memory. */
const LIMIT_MS = 4000;

export const mounts: Check = {
  name: "mount",
  async run(context) {
    const places = await context.places();
    if (places.length === 0) return [ok("nothing is mounted")];
    const findings = places.map((place) =>
      findingsOf(place, context).catch((error) => [
        fail(
          messageOf(error),
          "its process hangs, or waits for something that does: look at its log, end it, and mount again",
        ),
      ]),
    );
    return (await Promise.all(findings)).flat();
  },
};

async function findingsOf(place: string, context: Context): Promise<Finding[]> {
  const all = await context.mounts();
  const mount = mountAt(all, place);
  // Reading an automount's directory would trigger the mount, and the doctor changes nothing.
  if (automounts(all).includes(place)) return [awaited(place)];
  const found = await inspect(place);
  if (mount?.type !== MOUNT_TYPE) return [await mountable(place, mount, found, context)];
  const { source } = mount;
  switch (found.code) {
    case undefined:
      return [ok(`${place} (${source}) answers`), await readers(mount, context), ...(await ofItself(mount))];
    case "ENOTCONN":
      return [
        fail(
          `${place} (${source}) is a stale mount, whose process was killed: "Transport endpoint is not connected"`,
          `mount it again, which removes it, or \`icfs umount ${place}\``,
        ),
      ];
    case "EACCES":
      return [
        warn(
          `${place} (${source}) is another user's, and only that user may look into it`,
          "mount it as root, or with --allow-other, when a TFTP server is to read it",
        ),
      ];
    default:
      return [fail(`${place} (${source}) cannot be looked into: ${found.code}`, "its log says why")];
  }
}

/** Problems that a mount reports about itself; none when it does not answer this user. */
async function ofItself(mount: Mount): Promise<Finding[]> {
  const status = await askStatus(mount).catch(() => undefined);
  if (status === undefined) return [];
  const { mountpoint, canister, network, problem, refused, channel, channelDeleted, disk } = status;
  const findings: Finding[] = [];
  const replaced = await replacedNetwork(status);
  const [answers, answersNot] = status.mirrorOnly
    ? ["its mirrors answer", "no mirror answers"]
    : [`${network} answers`, `${network} does not answer`];
  const goesOn = `${mountpoint} goes on with ${servedInWords(status)}`;
  if (replaced !== undefined) {
    findings.push(replaced);
  } else if (channelDeleted) {
    findings.push(
      warn(
        `${goesOn}: channel ${channel} was deleted on the canister`,
        `to bring it back: icfs promote ${canister} RELEASE ${channel}; else mount something else: this cannot be mounted again`,
      ),
    );
  } else if (problem !== undefined && refused) {
    findings.push(
      fail(
        `${goesOn}, and does not accept what ${answers}: ${problem}`,
        `if the canister was replaced on purpose: icfs umount ${mountpoint}, icfs trust reset ${canister}, and mount it again; else find out who answers`,
      ),
    );
  } else if (problem !== undefined) {
    findings.push(
      warn(
        `${goesOn}, as ${answersNot}: ${problem}`,
        "it asks again by itself, and serves what is on this host meanwhile",
      ),
    );
  }
  if (disk?.problem !== undefined) {
    findings.push(
      warn(
        `${mountpoint} cannot write to its cache in ${disk.directory}: ${disk.problem}`,
        "make room there, or fix the disk: until then it needs the network",
      ),
    );
  }
  return findings;
}

/** A place where something is mounted on access. */
function awaited(place: string): Finding {
  return warn(
    `nothing is mounted at ${place} yet: an automount waits there until somebody looks`,
    `ls ${place}, and ask again; when that fails, \`systemctl status $(systemd-escape --path --suffix=mount ${place})\` says why`,
  );
}

/** A place where nothing of icfs is mounted yet. */
async function mountable(
  place: string,
  mount: Mount | undefined,
  { code }: Inspection,
  { host }: Context,
): Promise<Finding> {
  if (code === "ENOENT") return fail(`${place} does not exist`, `mkdir -p ${place}`);
  if (code !== undefined)
    return fail(`${place} is not a directory that can be used: ${code}`, "choose another");
  if (mount !== undefined) {
    return fail(
      `${place} is in use: a file system of type ${mount.type} (${mount.source}) is mounted there`,
      "unmount that, or choose another directory",
    );
  }
  return warn(
    `nothing is mounted at ${place}`,
    host.isRoot ? `icfs mount CANISTER ${place}` : `icfs mount CANISTER ${place}, if you may write there`,
  );
}

/** Who can read a mount: tested as nobody, if possible; otherwise judged by its options. */
async function readers({ mountpoint, superOptions }: Mount, { host }: Context): Promise<Finding> {
  if (!superOptions.includes("allow_other")) {
    const user = superOptions.find((option) => option.startsWith("user_id="))?.slice("user_id=".length);
    return warn(
      `${mountpoint} can be read by its user only (${user}), not by a TFTP server that runs as nobody or dnsmasq`,
      "mount it as root, or with --allow-other",
    );
  }
  const tried = host.isRoot ? await readAsNobody(mountpoint) : undefined;
  if (tried === undefined) return ok(`${mountpoint} can be read by others, by its options (allow_other)`);
  if (tried.code === 0) return ok(`${mountpoint} can be read by the user nobody (tried)`);
  return warn(
    `${mountpoint} cannot be read by the user nobody: ${tried.timedOut ? "no answer" : tried.stderr.trim()}`,
    "TFTP servers run as nobody or dnsmasq: let others into each directory above it (chmod o+x), and mount it without --file-mode and --dir-mode",
  );
}

/** Undefined if the host has no setpriv(1) to become nobody. */
async function readAsNobody(mountpoint: string): Promise<CommandResult | undefined> {
  const become = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--"];
  try {
    const result = await run("setpriv", [...become, "ls", "-A", "--", mountpoint], LIMIT_MS);
    // setpriv exits with 1 when it could not become nobody. So may ls, when it could not read: its message tells the two apart.
    return /^setpriv:/.test(result.stderr) ? undefined : result;
  } catch {
    return undefined;
  }
}
