/** Keys that are encrypted with a passphrase, as openssl and icp-cli write them. */
import { execFileSync } from "node:child_process";
import { createCipheriv, randomBytes, scryptSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { decryptKey } from "../../../lib/ic/identity/encrypted-key.ts";
import { loadIdentity } from "../../../lib/ic/identity/identity.ts";
import { temporaryDirectory } from "../../support/icfs.ts";

const directory = await temporaryDirectory(t);
const openssl = (...args: string[]) =>
  execFileSync("openssl", args, { cwd: directory, stdio: ["ignore", "pipe", "ignore"] }).toString();

/** Makes a key in kind.pem. @returns the file's path */
function keyOf(kind: string, generate: string[]): string {
  const pem = openssl("genpkey", ...generate);
  writeFileSync(join(directory, `${kind}.pem`), pem, { mode: 0o600 });
  return join(directory, `${kind}.pem`);
}

const KINDS = {
  ed25519: keyOf("ed25519", ["-algorithm", "ed25519"]),
  secp256k1: keyOf("secp256k1", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"]),
  p256: keyOf("p256", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
};
const SECRET = ["-passout", "pass:a secret"];
/** The ways to encrypt the PKCS#8 file of a key. */
const WAYS: Record<string, (plain: string) => string> = {
  "PBKDF2, AES-256": (plain) => pkcs8(plain, "-v2", "aes-256-cbc"),
  "PBKDF2, AES-128": (plain) => pkcs8(plain, "-v2", "aes-128-cbc"),
  scrypt: (plain) => pkcs8(plain, "-scrypt"),
  "scrypt as of icp-cli": asIcpCli,
};

function pkcs8(plain: string, ...way: string[]): string {
  return openssl("pkcs8", "-topk8", "-in", plain, ...way, ...SECRET);
}

/** DER of one value of fewer than 256 bytes. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content);
  return Buffer.concat([
    Buffer.from(bytes.length < 0x80 ? [tag, bytes.length] : [tag, 0x81, bytes.length]),
    bytes,
  ]);
}

const [INTEGER, OCTETS, OID, SEQUENCE] = [0x02, 0x04, 0x06, 0x30];
const hex = (digits: string) => Buffer.from(digits, "hex");

/** With scrypt that takes 128 MiB, which openssl does not support (test/ic/identity/tool-identities.test.ts has one of the real icp-cli). */
function asIcpCli(plain: string): string {
  const salt = randomBytes(16);
  const vector = randomBytes(16);
  const key = scryptSync("a secret", salt, 32, { N: 131_072, r: 8, p: 1, maxmem: 2 ** 28 });
  const cipher = createCipheriv("aes-256-cbc", key, vector);
  const bare = openssl("pkcs8", "-topk8", "-nocrypt", "-in", plain).replace(/-----[^-]*-----/g, "");
  const encrypted = Buffer.concat([cipher.update(Buffer.from(bare, "base64")), cipher.final()]);
  const costs = [hex("020000"), hex("08"), hex("01")].map((number) => der(INTEGER, number));
  const scrypt = der(
    SEQUENCE,
    der(OID, hex("2b06010401da47040b")),
    der(SEQUENCE, der(OCTETS, salt), ...costs),
  );
  const aes = der(SEQUENCE, der(OID, hex("60864801650304012a")), der(OCTETS, vector));
  const pbes2 = der(SEQUENCE, der(OID, hex("2a864886f70d01050d")), der(SEQUENCE, scrypt, aes));
  return asPem(der(SEQUENCE, pbes2, der(OCTETS, encrypted)));
}

function asPem(bytes: Buffer): string {
  const label = "ENCRYPTED PRIVATE KEY-----";
  return `-----BEGIN ${label}\n${bytes.toString("base64")}\n-----END ${label}\n`;
}

t.test("each kind of key is decrypted, in each form of encryption", async (t) => {
  for (const [kind, plain] of Object.entries(KINDS)) {
    const expected = (await loadIdentity(plain)).getPrincipal().toText();
    const encrypted: Record<string, string> = {};
    for (const [name, way] of Object.entries(WAYS)) {
      // icp-cli's way takes half a second each time: one kind of key is enough.
      if (way !== asIcpCli || kind === "secp256k1") encrypted[name] = way(plain);
    }
    if (kind !== "ed25519") {
      encrypted["SEC1, encrypted as long ago"] = openssl("ec", "-in", plain, "-aes256", ...SECRET);
      t.match(encrypted["SEC1, encrypted as long ago"], /BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED/);
    }
    for (const [name, pem] of Object.entries(encrypted)) {
      const file = join(directory, "encrypted.pem");
      writeFileSync(file, pem, { mode: 0o600 });
      const asked: string[] = [];
      const passphrase = async (of: string) => {
        asked.push(of);
        return "a secret";
      };
      const identity = await loadIdentity(file, passphrase);
      t.equal(identity.getPrincipal().toText(), expected, `${kind}, ${name}`);
      t.same(asked, [file]);
      await t.rejects(
        loadIdentity(file, async () => "another"),
        {
          name: "UserError",
          message: `the passphrase does not open ${file}: it is wrong, or the file is damaged (\`openssl pkey -noout -in ${file}\` asks for it as well)`,
        },
      );
      await t.rejects(loadIdentity(file), { message: `${file} is encrypted, and there is no passphrase` });
    }
  }
});

t.test("an encrypted file that is cut off or changed is refused", async (t) => {
  const whole = Buffer.from(asIcpCli(KINDS.ed25519).replace(/-----[^-]*-----/g, ""), "base64");
  t.equal(decryptKey(asPem(whole), "a secret").asymmetricKeyType, "ed25519");
  for (let length = 0; length < whole.length; length += 7) {
    t.throws(() => decryptKey(asPem(whole.subarray(0, length)), "a secret"), `${length} bytes of it`);
  }
  for (const length of [0x80, 0x83, 0xff]) {
    const other = Buffer.from(whole);
    other[1] = length;
    t.throws(() => decryptKey(asPem(other), "a secret"), `a length that begins with ${length}`);
  }
  // An N of three bytes: scrypt would take more memory than any host should give it.
  const N = Buffer.from("0203020000", "hex");
  const greedy = Buffer.from(whole);
  greedy.set(Buffer.from("02034000", "hex"), whole.indexOf(N));
  t.throws(() => decryptKey(asPem(greedy), "a secret"), { message: /^its scrypt wants \d+ bytes$/ });
});
