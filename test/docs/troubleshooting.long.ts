/**
 * Each command in docs/TROUBLESHOOTING.md runs on a host with the trouble that it is for. Where a command can end the trouble, it does.
 */
import t, { type Test } from "tap";
import { commandsIn, documented, ON_A_MACHINE } from "../support/documented.ts";
import { HUNG } from "../support/icfs.ts";
import { startSandbox } from "../support/sandbox.ts";

t.setTimeout(30 * HUNG);

/** A command, with shell scripts that run before and after it, on a host that has a release mounted at $DIR. */
interface Case {
  readonly command: string;
  readonly before?: string;
  readonly after?: string;
}

const NOT_MOUNTED = "fails findmnt $DIR";
const KILLED = "kill -9 $(icfs status $DIR --json | jq '.[].pid'); while ls $DIR; do sleep 0.1; done";
const BUSY =
  "(cd $DIR && exec sleep infinity >/dev/null 2>&1) & until [ $(readlink /proc/$!/cwd) = $DIR ]; do sleep 0.1; done";

const CASES: readonly Case[] = [
  { command: "icfs status", after: "ls $DIR/file" },
  { command: "icfs doctor" },
  { command: "icfs umount DIR", before: KILLED, after: NOT_MOUNTED },
  { command: "icfs mount CANISTER DIR", before: KILLED, after: "ls $DIR/file" },
  { command: "icfs ls -R CANISTER" },
  { command: "icfs lint CANISTER" },
  { command: "icfs verify CANISTER" },
  { command: "icfs verify DIR" },
  {
    command: "chmod 666 /dev/fuse",
    before: "chmod 600 /dev/fuse",
    after: "su -s /bin/sh nobody -c '< /dev/fuse'",
  },
  { command: "apt install fuse3" },
  { command: "apt install libfuse2" },
  { command: "mkdir -p DIR", before: "umount $DIR; rmdir $DIR", after: "icfs mount $CANISTER $DIR" },
  { command: "findmnt -T DIR" },
  {
    command: "umount -l DIR",
    before: `umount $DIR; mount -t tmpfs other $DIR; ${BUSY}; fails umount $DIR`,
    after: NOT_MOUNTED,
  },
  {
    command: "umount DIR",
    before: "mount -t tmpfs other $DIR; fails icfs umount $DIR",
    after: "ls $DIR/file",
  },
  {
    command: "getent passwd dnsmasq",
    before: "umount $DIR; fails icfs mount $CANISTER $DIR --uid no-such-user",
  },
  { command: "fuser -vm DIR", before: BUSY },
  { command: "icfs umount --lazy DIR", before: `${BUSY}; fails icfs umount $DIR`, after: NOT_MOUNTED },
  { command: "icfs publish DIR CANISTER", before: "umount $DIR; echo new > $DIR/file" },
  { command: "icfs grant CANISTER PRINCIPAL reader" },
  {
    command: "chmod 600 PEM",
    before: "chmod 644 $PEM; fails icfs ls $CANISTER --identity $PEM",
    after: "icfs ls $CANISTER --identity $PEM",
  },
  {
    command: "chmod 600 PROXY",
    before: "echo http://user:password@proxy.example > $PROXY; fails icfs ls $CANISTER --proxy $PROXY",
    after: "icfs ls $CANISTER --proxy $PROXY",
  },
  { command: "icfs identity --identity PEM" },
  { command: "openssl pkey -noout -in PEM" },
  { command: "icfs deploy CANISTER" },
  { command: "icfs releases CANISTER" },
  { command: "icfs keep CANISTER NUMBER" },
  { command: "icfs channel CANISTER", before: "icfs promote $CANISTER $NUMBER $NAME" },
  { command: "icfs channel CANISTER NAME --history" },
  { command: "icfs trust reset CANISTER" },
  {
    command: "chmod 700 /var/cache/icfs",
    before: "umount $DIR; chmod 777 /var/cache/icfs; fails icfs mount $CANISTER $DIR",
    after: "icfs mount $CANISTER $DIR",
  },
  { command: "icfs cache verify" },
  { command: "icfs mirror CANISTER MIRROR", after: "ls $MIRROR/.icfs/release" },
  {
    command: "icfs mirror CANISTER MIRROR --check",
    before:
      "for chunk in $(find $MIRROR/.icfs/chunk -type f); do tr a-z A-Z < $chunk > $chunk.damaged; mv $chunk.damaged $chunk; done",
    after: "umount $DIR; icfs mount $CANISTER $DIR --mirror file:$MIRROR --mirror-only && cat $DIR/file",
  },
  {
    command: "fuser -v FILE",
    before:
      "touch $FILE; exec 9< $FILE; sleep infinity <&9 >/dev/null 2>&1 & until fuser $FILE; do sleep 0.1; done",
  },
];

/** The sandbox starts this command, which runs until it is ended. */
const NETWORK = "icfs localnet";

const environment: NodeJS.ProcessEnv = {
  ICFS_NETWORK: "local",
  CANISTER: "oeagv-5qaaa-aaaah-aar4q-cai",
  DIR: "/srv/tftp",
  PEM: "/root/.config/icfs/identity.pem",
  PRINCIPAL: "aaaaa-aa",
  NUMBER: "1",
  MIRROR: "/srv/mirror",
  NAME: "stable",
  PROXY: "/root/proxy",
  FILE: "/var/lib/icfs/trust.lock",
};
const host = await startSandbox(t, () => environment);

async function done(t: Test, commands: string): Promise<void> {
  const { code, stdout, stderr } = await host.sh(`fails() { ! "$@"; }\n${commands}`);
  t.equal(code, 0, commands, { stdout, stderr });
}

const MOUNTED = "findmnt $DIR || icfs mount $CANISTER $DIR";

t.test("a host is set up, with a network that has a release", async (t) => {
  await done(
    t,
    "for name in bin/icfs sbin/mount.icfs sbin/mount.fuse.icfs; do ln -s /opt/icfs/bin/icfs /usr/$name; done",
  );
  t.match(await host.startNetwork(), { code: 0 });
  await done(
    t,
    `mkdir -p $DIR /root/tree && echo file > /root/tree/file
    icfs deploy --specified-id $CANISTER && icfs publish /root/tree $CANISTER`,
  );
});

t.test("the doctor commands at the top of the document run", async (t) => {
  await done(t, MOUNTED);
  await done(t, await documented("TROUBLESHOOTING.md", "Troubleshooting"));
});

t.test("every documented command is run", async (t) => {
  const { stdout } = await host.sh("ls $(tr : ' ' <<< $PATH)");
  const programs = new Set([...stdout.split("\n"), "modprobe"]);
  const run = [NETWORK, ...ON_A_MACHINE, ...CASES.map(({ command }) => command)];
  const commands = (await commandsIn("TROUBLESHOOTING.md", (word) => programs.has(word))).filter(
    // The name of a command is not a command line.
    (command) => run.includes(command) || !/^icfs [a-z]+$/.test(command),
  );
  t.same(commands.sort(), run.sort());
});

for (const { command, before = "true", after = "true" } of CASES) {
  t.test(command, async (t) => {
    await done(t, MOUNTED);
    await done(t, before);
    await done(t, command.replace(/\b(DIR|CANISTER|PRINCIPAL|NUMBER|NAME|MIRROR|PEM|PROXY|FILE)\b/g, "$$$1"));
    await done(t, after);
  });
}
