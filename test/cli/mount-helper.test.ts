/** The arguments that mount(8) gives to its helper, and the helper's answers. Nothing is mounted here; test/mount/fstab.test.ts mounts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { mountCommand } from "../../lib/cli/mount.ts";
import { parseHelperArguments, splitOptions } from "../../lib/cli/mount-helper.ts";
import { checkWritten } from "../../lib/cli/mount-helper-refused.ts";
import { BIN, run, temporaryDirectory } from "../support/icfs.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";
const KEY = `308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100${"00".repeat(96)}`;

const parse = (...args: string[]) => parseHelperArguments(args, mountCommand().options);
/** The arguments of `icfs mount` for a list of options. */
const told = (list: string) => parse(ID, "/srv/tftp", "-o", list).argv.slice(0, -3);

t.test("the command line", async (t) => {
  const plain = { spec: ID, directory: "/srv/tftp", fake: false, verbose: false, remount: false };
  t.same(parse(ID, "/srv/tftp"), { ...plain, words: [], argv: ["--", ID, "/srv/tftp"] });
  t.same(parse(ID, "/srv/tftp", "-sfnv", "-o", "ro", "-t", "fuse.icfs"), {
    ...plain,
    fake: true,
    verbose: true,
    words: ["ro"],
    argv: ["--", ID, "/srv/tftp"],
  });
  t.same(parse("-n", "-o", "offline", ID, "/srv/tftp", "-o", "memory=64").argv, [
    "--offline",
    "--memory=64",
    "--",
    ID,
    "/srv/tftp",
  ]);
  for (const args of [[], [ID], [ID, "/srv/tftp", "more"]]) {
    t.throws(() => parse(...args), { name: "UserError", message: /^usage: mount\.icfs CANISTER DIR/ });
  }
  t.throws(() => parse(ID, "/srv/tftp", "-x"), { message: /-x/ });
  t.throws(() => parse(ID, "/srv/tftp", "-o"), { message: /-o/ });
});

t.test("options for other programs, and those that every mount has, are ignored", async (t) => {
  const lists = [
    "ro,_netdev,nofail,noauto,user,x-systemd.automount,x-systemd.before=libvirtd.service,X-mount.mkdir,comment=boot files",
    "ro,noexec,nosuid,nodev,_netdev,nofail,users,owner,group,nouser,auto,defaults",
    "noatime,relatime,nodiratime,lazytime,strictatime,silent,mand,sync,async,dirsync",
    "",
    ",,",
  ];
  for (const list of lists) t.same(told(list), [], list);
});

t.test("the command's own options are passed on by their names", async (t) => {
  const values: Record<string, string> = {
    network: "https://icp-api.io/",
    "root-key": "/etc/icfs/root.key",
    identity: "/etc/icfs/reader.pem",
    uid: "65534",
    gid: "65534",
    "file-mode": "0444",
    "dir-mode": "0555",
    "cache-dir": "/var/cache/icfs",
    "max-cache-size": "4GiB",
    memory: "64",
    refresh: "60",
    quiet: "30s",
    "switch-within": "10m",
    "read-timeout": "10",
    "max-stale": "7d",
    prefetch: "boot",
    ready: "hydrated",
    open: "whole",
    "open-timeout": "30",
    transport: "kernel",
    "log-level": "debug",
    "log-file": "/var/log/a=b",
    metrics: "[::1]:9469",
    source: "icfs",
    trust: "replicated",
    mirror: "http://cache.example/tftp",
    retry: "2",
    context: "system_u:object_r:tftpdir_t:s0",
  };
  for (const [name, value] of Object.entries(values))
    t.same(told(`ro,${name}=${value}`), [`--${name}=${value}`]);
  for (const name of ["allow-other", "no-allow-other", "offline", "mirror-only"])
    t.same(told(`${name},ro`), [`--${name}`]);
  t.same(told('context="system_u:object_r:tftpdir_t:s0:c1,c2",log-file="/a,b"'), [
    "--context=system_u:object_r:tftpdir_t:s0:c1,c2",
    "--log-file=/a,b",
  ]);
  t.same(told('ro,network="http://127.0.0.1:1,ic",retry=2'), [
    "--network=http://127.0.0.1:1,ic",
    "--retry=2",
  ]);
  t.same(
    told("mirror=file:/srv/mirror,mirror=http://cache.example"),
    ["--mirror=file:/srv/mirror", "--mirror=http://cache.example"],
    "each counts",
  );
  t.same(splitOptions('a="b,c,d=e'), ["a=b", "c", "d=e"], "a quote without an end is dropped");
});

t.test("wrong options are named in the error", async (t) => {
  const cases: [list: string, message: string][] = [
    ["ro,colour=blue", 'unknown option "colour"'],
    ["suidperl", 'unknown option "suidperl"'],
    ["foreground", 'unknown option "foreground"'],
    ["json", 'unknown option "json"'],
    ["help", 'unknown option "help"'],
    ["offline=yes", 'option "offline" takes no value'],
    ["memory", 'option "memory" needs a value: memory=...'],
  ];
  for (const [list, message] of cases) t.throws(() => told(list), { name: "UserError", message }, list);
  t.same(parse(ID, "/srv/tftp", "-s", "-o", "colour=blue,memory=64").argv[0], "--memory=64", "-s");
});

t.test("rw, exec, suid and dev are refused where somebody has written them", async (t) => {
  const directory = await temporaryDirectory(t);
  const fstab = join(directory, "fstab");
  const lines = {
    "/srv/default": "defaults",
    "/srv/ro": "ro",
    "/srv/a b": "noauto,rw",
    "/srv/exec": "ro,exec,_netdev",
    "/srv/suid": "defaults,suid",
    "/srv/dev": "user,dev",
    "/srv/quoted": 'ro,log-file="/a,exec,b"',
  };
  await writeFile(
    fstab,
    [
      "# a comment",
      "",
      ...Object.entries(lines).map(
        ([at, options]) => ` ${ID}\t${at.replace(" ", "\\040")}/ icfs ${options} 0 0`,
      ),
      "cut short",
    ].join("\n"),
  );
  /** The refused word, or "nothing". @param told the list of options that the helper gets */
  const refused = async (told: string, args: string[], at = "/srv/other", program = "mount") => {
    const caller = program === "" ? 2 ** 22 + 1 : await callerWith(t, program, args);
    const request = parse(ID, at, ...(told === "" ? [] : ["-o", told]));
    return checkWritten(caller, request).then(
      () => "nothing",
      ({ message }) => /; say (\S+) instead of (\S+)$/.exec(message)?.slice(1).join(" for ") ?? message,
    );
  };
  const by = (...args: string[]) => ["-t", "icfs", ID, "/srv/other", ...args];
  // mount(8) of util-linux 2.38 gives the helper these lists.
  t.equal(await refused("rw", by()), "nothing", "rw is accepted when nobody has written it");
  t.equal(await refused("rw,_netdev", by("-o", "_netdev,network=local")), "nothing");
  t.equal(await refused("rw", by("-o", "defaults")), "nothing");
  t.equal(await refused("rw,_netdev", []), "nothing");
  for (const args of [
    ["-w"],
    ["-vw"],
    ["--rw"],
    ["--read-write"],
    ["-o", "a,rw"],
    ["-oa,rw,b"],
    ["--options=rw"],
  ]) {
    t.equal(await refused("rw", by(...args)), "ro for rw", args.join(" "));
  }
  for (const word of ["exec", "suid", "dev"]) {
    const instead = `no${word} for ${word}`;
    t.equal(
      await refused("rw", by("-o", word)),
      instead,
      `${word} is refused although mount(8) does not pass it on`,
    );
    t.equal(await refused("ro", by("-oro", `-o${word}`)), instead);
    t.equal(
      await refused(`ro,user,${word}`, by("-o", `ro,user,${word}`)),
      instead,
      "an option after user is refused",
    );
    t.equal(
      await refused(`ro,no${word},user`, by("-o", `${word},user`)),
      "nothing",
      "an option before user, which implies its opposite, is accepted",
    );
    t.equal(
      await refused(`ro,no${word}`, by("-o", `ro,${word},no${word}`)),
      "nothing",
      "the last of two opposite options counts",
    );
    t.equal(await refused(`ro,no${word},${word}`, []), instead);
    t.equal(await refused(`ro,remount,user_id=0`, by("-o", `remount,${word}`)), instead, "remount");
    t.equal(await refused(word, [], "/srv/other", "sh"), instead, "by hand");
    t.equal(
      await refused(word, [], "/srv/other", ""),
      instead,
      "an option is refused when the caller is unknown",
    );
  }
  const inFstab = (told: string, at: string, ...args: string[]) => refused(told, args, at);
  t.equal(await inFstab("rw", "/srv/default", "-aT", fstab), "nothing");
  t.equal(await inFstab("ro", "/srv/ro", "-a", "--fstab", fstab), "nothing");
  t.equal(await inFstab("rw", "/srv/a b", "-a", "--fstab", fstab), "ro for rw");
  t.equal(await inFstab("ro", "/srv/a b", "-a", "--fstab", fstab, "-o", "ro"), "nothing");
  t.equal(await inFstab("ro,_netdev", "/srv/exec", "-aT", fstab), "noexec for exec");
  t.equal(await inFstab("ro,_netdev,noexec", "/srv/exec", "-T", fstab, "-o", "noexec"), "nothing");
  t.equal(
    await inFstab("ro", "/srv/exec", "-T", fstab, "-t", "icfs", ID, "/srv/exec"),
    "nothing",
    "both named",
  );
  t.equal(await inFstab("rw", "/srv/suid", "-aT", fstab), "nosuid for suid");
  t.equal(await inFstab("rw,noexec,nosuid,user,dev", "/srv/dev", "-aT", fstab), "nodev for dev");
  t.equal(await inFstab('ro,log-file="/a,exec,b"', "/srv/quoted", "-aT", fstab), "nothing");
  t.equal(await inFstab("rw", "/srv/a b", "-a", "-T", join(directory, "absent")), "nothing");
  t.equal(await refused("rw", [], "/srv/other", "sh"), "ro for rw", "by hand");
  t.equal(await refused("rw,ro", [], "/srv/other", "sh"), "nothing", "of rw and ro, the last one counts");
  t.equal(await refused("rw", [], "/srv/other", ""), "nothing", "rw is accepted when the caller is unknown");
});

/** Starts a process that looks like `program` with these arguments. @returns its id */
async function callerWith(t: Test, program: string, args: readonly string[]): Promise<number> {
  const child = spawn("sh", ["-c", "echo; read line", ...args], {
    argv0: `/usr/bin/${program}`,
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.teardown(async () => void child.kill());
  await once(child.stdout, "data");
  return child.pid!;
}

t.test("with -f the program checks everything, with mount's exit codes and a bare environment", async (t) => {
  const directory = await temporaryDirectory(t);
  const helper = join(directory, "mount.icfs");
  await symlink(BIN, helper);
  await symlink(BIN, join(directory, "mount.fuse.icfs"));
  const state = { XDG_STATE_HOME: join(directory, "state"), XDG_CACHE_HOME: join(directory, "cache") };
  const bare = { HOME: "", PATH: "/usr/bin:/bin", ...state };
  const at = join(directory, "mountpoint");
  await mkdir(at);
  const fake = (list: string, env: NodeJS.ProcessEnv = bare) =>
    run(helper, [ID, at, "-f", "-o", list], { env, cwd: "/" });
  const silent = { code: 0, stdout: "", stderr: "" };
  t.same(await fake("ro,_netdev,nofail"), silent);
  t.same(await fake("ro", state), silent, "the helper works without PATH");
  t.same(await fake("ro,uid=nobody,gid=nogroup", state), silent, "uid and gid take this host's names");
  t.same(await fake(`ro,network=local,root-key=${KEY}`), silent);
  t.same(await run(join(directory, "mount.fuse.icfs"), [ID, at, "-f", "-o", "ro"], { env: bare }), silent);
  const usage: [list: string, stderr: RegExp, env?: NodeJS.ProcessEnv][] = [
    ["rw", /^mount\.icfs: oeagv-\S+ cannot be mounted to be written to: .*say ro instead of rw\n$/],
    ["ro,exec", /cannot be mounted to run programs from: .*say noexec instead of exec\n$/],
    ["ro,nosuid,suid", /cannot be mounted to have set-user-ID programs: .*say nosuid instead of suid\n$/],
    ["dev,ro", /cannot be mounted to have devices: .*say nodev instead of dev\n$/],
    ["ro,colour=blue", /^mount\.icfs: unknown option "colour"\n$/],
    ["ro,uid=nosuch", /^mount\.icfs: .*'--uid <user>'.*there is no user "nosuch" on this host/],
    ["ro,gid=nosuch", /^mount\.icfs: .*'--gid <group>'.*there is no group "nosuch" on this host/],
    ["ro,memory=0", /^mount\.icfs: .*'--memory <size>'.*Use a size from 1 MiB/],
    ["ro,prefetch=some", /^mount\.icfs: .*'--prefetch <what>'.*Allowed choices are all, boot, none/],
    ["ro,retry=soon", /^mount\.icfs: .*'--retry <time>'.*Use minutes, or a time such as 90s/],
    ["ro,context=a b", /^mount\.icfs: .*'--context <label>'.*Use a label/],
    [
      "ro,network=local",
      /^mount\.icfs: the root key of http:\/\/127\.0\.0\.1:4943 is needed: root-key=.*not to ask.* leaves it in \S+localnet-4943\.key\n$/,
    ],
    [
      "ro,network=http://10.1.2.3",
      /^mount\.icfs: the root key of http:\/\/10\.1\.2\.3 is needed: root-key=FILE or root-key=HEX\n$/,
    ],
    // Only the options count, not the environment of the user who mounts.
    [
      `ro,network=local`,
      /the root key of http:\/\/127\.0\.0\.1:4943 is needed/,
      {
        ...bare,
        ICFS_NETWORK: "http://192.0.2.1",
        ICFS_ROOT_KEY: KEY,
        ICFS_UID: "nonsense",
        ICFS_OFFLINE: "maybe",
      },
    ],
  ];
  for (const [list, stderr, env] of usage) {
    const said = await fake(list, env);
    t.match(said, { code: 1, stdout: "", stderr }, list);
  }
  const failures: [args: string[], stderr: RegExp, code?: number][] = [
    [["not-an-id", at, "-f"], /^mount\.icfs: "not-an-id" is not a canister id/, 1],
    // The copy that would serve the mount finds this error, before it waits for a network.
    [
      ["not-an-id", at, "-o", `network=local,root-key=${KEY}`],
      /^mount\.icfs: "not-an-id" is not a canister id/,
      1,
    ],
    [
      [ID, at, "-o", "remount,ro"],
      /^mount\.icfs: oeagv-\S+ is not mounted at .*, so that it cannot be remounted\n$/,
    ],
    [[ID, at, "-o", "offline"], /^mount\.icfs: nothing of oeagv-\S+ is kept on this host/],
    [[ID, join(directory, "absent"), "-o", "offline"], /^mount\.icfs: \S+\/absent does not exist/],
  ];
  for (const [args, stderr, code = 32] of failures) {
    t.match(await run(helper, args, { env: bare }), { code, stdout: "", stderr }, args.join(" "));
  }
});
