/** Where the passphrase of an encrypted key comes from, and whose key --identity names. */
import { execFileSync } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { passphraseFor } from "../../lib/cli/passphrase.ts";
import { givenIdentity } from "../../lib/cli/signer.ts";
import { UsageError } from "../../lib/errors.ts";
import { loadIdentity } from "../../lib/ic/identity/identity.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const directory = await temporaryDirectory(t);
const env = cleanEnvironment(directory);
const at = (name: string) => join(directory, name);
const SECRET = "a 'secret' ü";

const plain = at("plain.pem");
execFileSync("openssl", ["genpkey", "-algorithm", "ed25519", "-out", plain], { stdio: "ignore" });
const key = at("key.pem");
const encrypted = execFileSync("openssl", [
  ...["pkcs8", "-topk8", "-in", plain, "-passout", `pass:${SECRET}`],
]);
await writeFile(key, encrypted, { mode: 0o600 });
const principal = `${(await loadIdentity(plain)).getPrincipal()}\n`;

/** Writes a file that only its owner can read. @returns its path */
async function file(name: string, content: string): Promise<string> {
  await writeFile(at(name), content, { mode: 0o600 });
  return at(name);
}

/** Runs a shell line in which ICFS stands for `icfs identity` with the key. */
const shell = (line: string, more: NodeJS.ProcessEnv = {}) =>
  run("bash", ["-c", line.replaceAll("ICFS", `${BIN} identity --identity ${key}`)], {
    env: { ...env, ...more },
  });

const secret = await file("secret", `${SECRET}\n`);

t.test("it is read from a file, a descriptor or a command", async (t) => {
  const option = "--identity-passphrase-file";
  for (const source of [secret, await file("windows", `${SECRET}\r\n`), await file("bare", SECRET)])
    t.equal(await passphraseFor(key, source), SECRET, source);
  for (const line of [
    `ICFS ${option} fd:3 3<${secret}`,
    `cat ${secret} | ICFS ${option} fd:0`,
    `ICFS ${option} <(sleep 0.2; cat ${secret})`,
  ]) {
    t.match(await shell(line), { code: 0, stdout: principal, stderr: "" }, line);
  }

  await t.test("also for the user's own key", async (t) => {
    await mkdir(at("config/icfs"), { recursive: true });
    await writeFile(at("config/icfs/identity.pem"), encrypted, { mode: 0o600 });
    const named = { ...env, ICFS_IDENTITY_PASSPHRASE_FILE: secret };
    t.match(await run(BIN, ["identity"], { env: named }), { code: 0, stdout: principal });
  });
});

t.test("invalid sources and wrong passphrases are refused", async (t) => {
  const shared = await file("shared", SECRET);
  await chmod(shared, 0o640);
  const cases: [source: string, message: RegExp | string][] = [
    [await file("empty", "\n"), /there is no passphrase in \S+: it is empty$/],
    [await file("two", "a\nb\n"), /it has more than one line$/],
    [await file("large", "a".repeat(5000)), /it is too large$/],
    [shared, `${shared} can be read by users other than its owner: run \`chmod 600 ${shared}\``],
    ["/dev/zero", "/dev/zero is not a file that has a passphrase in it"],
    [directory, `${directory} is not a file that has a passphrase in it`],
    [at("nowhere"), /cannot read the passphrase from \S+ \(ENOENT/],
    ["fd:999", /from fd:999 \(EBADF.*\): is it open, as by `999<FILE` in a shell\?/],
    ["fd:three", '"fd:three" is not a file descriptor: write fd:3, say'],
  ];
  for (const [source, message] of cases)
    await t.rejects(passphraseFor(key, source), { name: "UserError", message }, source);
  t.ok((await passphraseFor(key, "fd:three").catch((error) => error)) instanceof UsageError);
  const asCommand: [line: string, message: string][] = [
    [
      "ICFS </dev/null",
      `icfs: ${key} is encrypted, and there is no terminal to ask for its passphrase: give it`,
    ],
    [
      `ICFS --identity-passphrase-file ${await file("wrong", "wrong")}`,
      `icfs: the passphrase does not open ${key}:`,
    ],
  ];
  for (const [line, message] of asCommand)
    t.match(await shell(line), { code: 1, stdout: "", stderr: message }, line);
  t.ok(
    await givenIdentity({ identity: plain, identityPassphraseFile: "/nowhere" }),
    "no passphrase is read for an unencrypted key",
  );
});

t.test("a mount in the background takes it only from a file", async (t) => {
  const mount = `${BIN} mount oeagv-5qaaa-aaaah-aar4q-cai ${directory} --network local --identity ${key} --log-file ${at("log")}`;
  t.match(await shell(`${mount} --identity-passphrase-file fd:3 3<${secret}`), {
    code: 2,
    stderr: /has no file descriptors of yours: give a file with --identity-passphrase-file, or stay with/,
  });
  t.match(await shell(mount), {
    code: 1,
    stderr: /no terminal to ask for its passphrase: give it in a file/,
  });
});

t.test("it is typed on the terminal without being shown", async (t) => {
  /** Types `text` at the prompt. @returns what the terminal shows */
  const typed = async (text: string) => {
    const shown = await file("shown", "");
    const asked = `until grep -qs Passphrase '${shown}'; do sleep 0.1; done`;
    const command = `${BIN} identity --identity ${key}`;
    return run(
      "bash",
      ["-c", `{ ${asked}; printf '%b' "$0"; } | script -qefc '${command}' '${shown}'`, text],
      { env },
    );
  };
  const { code, stdout } = await typed(`${SECRET}\\n`);
  t.match({ code, stdout }, { code: 0, stdout: `Passphrase of ${key}: \r\n${principal.trim()}\r\n` });
  t.notMatch(stdout, "secret");
  t.match(await typed("wrong\\n"), { code: 1, stdout: `icfs: the passphrase does not open ${key}` });
  t.match(await typed("\\n"), { code: 1, stdout: "icfs: no passphrase was given" });
  t.match(await typed("\\004"), { code: 1, stdout: "icfs: no passphrase was given" });
  t.match(await typed("sec\\003"), { code: 130 }, "Ctrl-C");
});
