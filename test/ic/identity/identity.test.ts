import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SignIdentity } from "@icp-sdk/core/agent";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { Secp256k1KeyIdentity } from "@icp-sdk/core/identity/secp256k1";
import t from "tap";
import { defaultIdentity, defaultIdentityFile, loadIdentity } from "../../../lib/ic/identity/identity.ts";
import { BIN, run, temporaryDirectory } from "../../support/icfs.ts";

const directory = await temporaryDirectory(t);

/** Writes openssl's output to a file that only its owner can read. */
async function pem(name: string, command: string, input?: string): Promise<string> {
  const file = join(directory, `${name}.pem`);
  const [program, ...args] = command.split(" ");
  await writeFile(file, execFileSync(program!, args, { input, stdio: ["pipe", "pipe", "ignore"] }), {
    mode: 0o600,
  });
  return file;
}

const principal = (identity: SignIdentity) => identity.getPrincipal().toText();

t.test("a secp256k1 key in SEC1, as dfx writes it", async (t) => {
  const file = await pem("sec1", "openssl ecparam -name secp256k1 -genkey");
  const text = await readFile(file, "utf8");
  t.match(text, /BEGIN EC PARAMETERS[\s\S]*BEGIN EC PRIVATE KEY/);
  const key = text.replace(/-----BEGIN EC PARAMETERS[\s\S]*END EC PARAMETERS-----\n/, "");
  const expected = principal(Secp256k1KeyIdentity.fromPem(key));
  t.equal(principal(await loadIdentity(file)), expected);
  await t.test("the same key without its parameters, and in PKCS#8", async (t) => {
    const bare = join(directory, "bare.pem");
    await writeFile(bare, key, { mode: 0o600 });
    t.equal(principal(await loadIdentity(bare)), expected);
    const pkcs8 = await pem("pkcs8", "openssl pkcs8 -topk8 -nocrypt", text);
    t.match(await readFile(pkcs8, "utf8"), /BEGIN PRIVATE KEY/);
    t.equal(principal(await loadIdentity(pkcs8)), expected);
  });
});

t.test("an Ed25519 key in PKCS#8", async (t) => {
  const file = await pem("ed25519", "openssl genpkey -algorithm ed25519");
  const der = execFileSync("openssl", ["pkey", "-in", file, "-outform", "DER"]);
  // The seed is the last 32 of the 48 bytes (RFC 8410).
  const expected = Ed25519KeyIdentity.fromSecretKey(new Uint8Array(der.subarray(16)));
  t.equal(principal(await loadIdentity(file)), principal(expected));
});

t.test("signatures verify", async (t) => {
  for (const name of ["sec1", "ed25519"]) {
    const file = join(directory, `${name}.pem`);
    const message = join(directory, "message");
    await writeFile(message, "to sign");
    const signature = await (await loadIdentity(file)).sign(new Uint8Array(Buffer.from("to sign")));
    t.equal(signature.length, 64, name);
    if (name !== "ed25519") continue;
    await writeFile(`${message}.sig`, signature);
    const verify = `pkeyutl -verify -inkey ${file} -rawin -in ${message} -sigfile ${message}.sig`;
    t.match(execFileSync("openssl", verify.split(" ")).toString(), /Verified Successfully/);
  }
});

t.test("keys of other kinds, and files without a key, are refused", async (t) => {
  const cases: Record<string, [file: string, message: RegExp]> = {
    RSA: [
      await pem("rsa", "openssl genrsa -traditional 2048"),
      /holds a key of kind RSA: use Ed25519, secp256k1 or P-256/,
    ],
    X25519: [await pem("x25519", "openssl genpkey -algorithm x25519"), /holds a key of kind X25519: use/],
    brainpool: [
      await pem("brainpool", "openssl ecparam -name brainpoolP256r1 -genkey"),
      /holds a private key that is damaged, or of a kind that icfs does not use: make one with `/,
    ],
    "a public key": [
      await pem("public", `openssl pkey -in ${join(directory, "ed25519.pem")} -pubout`),
      /holds no private key: it holds a public key; the file that is kept secret is wanted$/,
    ],
    "OpenSSH's": [
      await pem(
        "openssh",
        "cat",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
      ),
      /holds a key in OpenSSH's format, which icfs does not read: make one with `/,
    ],
    garbage: [await pem("garbage", "echo hello"), /holds no private key: it is not a PEM file$/],
    "an empty file": [
      await pem("empty", "true"),
      /holds no private key: it is empty: restore it from a copy\./,
    ],
    "a file of zeros": [
      await pem("zeros", "head -c 119 /dev/zero"),
      /holds no private key: it is empty: restore it from a copy\./,
    ],
    "a file that was cut off": [
      await pem("torn", "cat", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI"),
      /holds no private key: it is torn: restore it from a copy\./,
    ],
    "a broken block": [
      await pem("broken", "cat", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
      /holds a private key that is damaged/,
    ],
  };
  for (const [name, [file, message]] of Object.entries(cases)) {
    await t.rejects(loadIdentity(file), { name: "UserError", message }, name);
    await t.rejects(loadIdentity(file), { message: new RegExp(file) }, "the error names the file");
    await t.rejects(
      loadIdentity(file),
      { message: /^(?!.*(error:|DECODER|OSSL))/i },
      "the error has no OpenSSL error code",
    );
  }
  await t.rejects(loadIdentity(join(directory, "nowhere")), {
    name: "UserError",
    message: /cannot read the identity \(ENOENT.*\): name a PEM file with --identity/,
  });
  const folder = join(directory, "folder");
  await mkdir(folder, { mode: 0o700 });
  // Most directories are 0755, and a few 0700: the message must not be about the mode.
  for (const mode of [0o755, 0o700]) {
    await chmod(folder, mode);
    await t.rejects(loadIdentity(folder), {
      name: "UserError",
      message: `${folder} is a directory: name a PEM file, which it has none of`,
    });
  }
  await writeFile(join(folder, "identity.pem"), "");
  await t.rejects(loadIdentity(folder), {
    message: `${folder} is a directory: name the PEM file in it, ${join(folder, "identity.pem")}`,
  });
  await writeFile(join(folder, "another.pem"), "");
  await t.rejects(loadIdentity(folder), {
    message: `${folder} is a directory: name the PEM file in it, such as ${join(folder, "another.pem")}`,
  });
});

t.test("only files are read, and the error for a file without a key is not about its mode", async (t) => {
  const pipe = join(directory, "pipe");
  execFileSync("mkfifo", ["-m", "644", pipe]);
  for (const file of [pipe, "/dev/null", "/dev/zero"]) {
    await t.rejects(loadIdentity(file), {
      name: "UserError",
      message: /^\S+ is not a file: name a PEM file/,
    });
  }
  await t.rejects(loadIdentity("/etc/passwd"), {
    message: "/etc/passwd holds no private key: it is not a PEM file",
  });
  const endless = join(directory, "endless");
  await symlink("/proc/self/pagemap", endless);
  await t.rejects(loadIdentity(endless), { message: /endless holds no private key: it is empty/ });
  const large = join(directory, "large");
  await writeFile(large, Buffer.alloc(2 * 1024 * 1024));
  await t.rejects(loadIdentity(large), { message: `${large} holds no private key: it is too large` });
});

t.test("a key is read from a shell's `<(command)`", async (t) => {
  const file = await pem("substituted", "openssl genpkey -algorithm ed25519");
  const { stdout } = await run("bash", ["-c", `"$0" identity --identity <(sleep 0.2; cat "$1")`, BIN, file], {
    env: process.env,
  });
  t.match(stdout, principal(await loadIdentity(file)));
});

t.test("a key that others can read is refused", async (t) => {
  const file = await pem("shared", "openssl genpkey -algorithm ed25519");
  for (const mode of [0o644, 0o640, 0o620, 0o601]) {
    await chmod(file, mode);
    await t.rejects(loadIdentity(file), {
      name: "UserError",
      message: `${file} can be read by users other than its owner: run \`chmod 600 ${file}\``,
    });
  }
  await chmod(file, 0o400);
  t.ok(await loadIdentity(file));
});

t.test("the default identity is made once, for its owner alone", async (t) => {
  const umask = process.umask(0);
  t.teardown(() => void process.umask(umask));
  process.env.XDG_CONFIG_HOME = join(directory, "config");
  const messages: string[] = [];
  t.intercept(console, "error", { value: (text: string) => messages.push(text) });
  const file = join(directory, "config/icfs/identity.pem");
  t.equal(defaultIdentityFile(), file);
  const first = principal(await defaultIdentity());
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.equal((await stat(join(directory, "config/icfs"))).mode & 0o777, 0o700);
  t.same(messages, [`icfs: made a new identity, ${file}: keep it, since it owns what you deploy`]);
  t.equal(principal(await defaultIdentity()), first);
  t.equal(messages.length, 1, "once");
  await chmod(file, 0o644);
  await t.rejects(defaultIdentity(), /can be read by users other/);
  process.env.XDG_CONFIG_HOME = join(file, "not-a-directory");
  await t.rejects(defaultIdentity(), {
    name: "UserError",
    message: /cannot make an identity .*: give one with --identity/,
  });
});
