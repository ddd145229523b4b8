/**
 * Identities: the keys that sign updates. A key comes from a PEM file that nobody else can read, never from the command
 * line.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
} from "node:crypto";
import { existsSync, linkSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { SignIdentity } from "@icp-sdk/core/agent";
import { configDirectory, makeDirectory } from "../../directories.ts";
import { messageOf, UserError } from "../../errors.ts";
import { isSubstituted, readNamedSync } from "../../kept-file.ts";
import { syncDirectorySync, unfinishedNameOf } from "../../replace-file.ts";
import { decryptKey } from "./encrypted-key.ts";
import { toolIdentityFile } from "./tool-identities.ts";

/** The file of the default identity, which defaultIdentity() makes. */
export function defaultIdentityFile(): string {
  return join(configDirectory(), "identity.pem");
}

/** Gets the passphrase of an encrypted key. @param file the key's. @throws UserError when there is none, or nobody to ask */
export type Passphrase = (file: string) => Promise<string>;

const NO_PASSPHRASE: Passphrase = async (file) => {
  throw new UserError(`${file} is encrypted, and there is no passphrase`);
};

/**
 * An identity by its key: Ed25519, secp256k1 or P-256, in PKCS#8 or SEC1, as openssl, dfx and icp write them, encrypted or not.
 *
 * @param named a PEM file; or dfx:NAME, icp:NAME
 * @throws UserError when it cannot be read, is readable by others, is not opened by the passphrase, or is another kind of key
 */
export async function loadIdentity(
  named: string,
  passphrase: Passphrase = NO_PASSPHRASE,
): Promise<SignIdentity> {
  const file = toolIdentityFile(named) ?? named;
  const pem = readPrivately(file);
  // SEC1 files may begin with EC PARAMETERS, which is not a key.
  const [block, label] = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----[\s\S]*?-----END \1-----/.exec(pem) ?? [];
  if (block === undefined) throw new UserError(`${file} holds no private key: ${whatElse(pem)}`);
  if (label === "OPENSSH PRIVATE KEY") {
    throw new UserError(`${file} holds a key in OpenSSH's format, which icfs does not read: ${MAKE_ONE}`);
  }
  const isEncrypted = label === "ENCRYPTED PRIVATE KEY" || /^Proc-Type: *4, *ENCRYPTED/m.test(block);
  return identityOf(isEncrypted ? decrypted(file, block, await passphrase(file)) : plain(file, block), file);
}

/** @throws UserError, without OpenSSL's reason, which is only a code */
function decrypted(file: string, block: string, passphrase: string): KeyObject {
  try {
    return decryptKey(block, passphrase);
  } catch {
    throw new UserError(
      `the passphrase does not open ${file}: it is wrong, or the file is damaged (\`openssl pkey -noout -in ${file}\` asks for it as well)`,
    );
  }
}

function plain(file: string, block: string): KeyObject {
  try {
    return createPrivateKey(block);
  } catch {
    throw damaged(file);
  }
}

function damaged(file: string): UserError {
  return new UserError(
    `${file} holds a private key that is damaged, or of a kind that icfs does not use: ${MAKE_ONE}`,
  );
}

async function identityOf(key: KeyObject, file: string): Promise<SignIdentity> {
  let jwk: JsonWebKey;
  try {
    // Throws for kinds that JWK has no names for.
    jwk = key.export({ format: "jwk" });
  } catch {
    throw damaged(file);
  }
  const { kty, crv, d } = jwk;
  // Loaded only here: most readers need no identity, and each of core's curves takes as long to load as all of icfs.
  if (kty === "OKP" && crv === "Ed25519") {
    const { Ed25519Identity } = await import("./ed25519.ts");
    return new Ed25519Identity(key);
  }
  if (kty === "EC" && crv === "secp256k1") {
    const { Secp256k1KeyIdentity } = await import("@icp-sdk/core/identity/secp256k1");
    return Secp256k1KeyIdentity.fromSecretKey(Uint8Array.from(Buffer.from(d ?? "", "base64url")));
  }
  if (kty === "EC" && crv === "P-256") {
    const { ECDSAKeyIdentity } = await import("@icp-sdk/core/identity");
    const algorithm = { name: "ECDSA", namedCurve: crv };
    return ECDSAKeyIdentity.fromKeyPair({
      privateKey: key.toCryptoKey(algorithm, false, ["sign"]),
      publicKey: createPublicKey(key).toCryptoKey(algorithm, true, ["verify"]),
    });
  }
  throw new UserError(`${file} holds a key of kind ${crv ?? kty}: use Ed25519, secp256k1 or P-256`);
}

const MAKE_ONE =
  "make one with `(umask 077; openssl genpkey -algorithm ed25519 -out PEM)`, or leave --identity out";

/** More than any key file has. */
const MOST_BYTES = 1024 * 1024;

/** The content of a file. @throws UserError, also when it is a key that other users can read */
function readPrivately(file: string): string {
  try {
    const status = statSync(file);
    if (status.isDirectory()) throw new UserError(`${file} is a directory: ${pemFilesIn(file)}`);
    if (!status.isFile() && !isSubstituted(file, status)) {
      throw new UserError(
        `${file} is not a file: name a PEM file with --identity, or leave it out for your own`,
      );
    }
    if (status.size > MOST_BYTES) throw new UserError(`${file} holds no private key: it is too large`);
    const pem = readNamedSync(file, MOST_BYTES).toString();
    // Only for keys: another file may need its mode.
    if (/PRIVATE KEY-----/.test(pem) && (status.mode & 0o077) !== 0) {
      throw new UserError(`${file} can be read by users other than its owner: run \`chmod 600 ${file}\``);
    }
    return pem;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `cannot read the identity (${messageOf(error)}): name a PEM file with --identity, or leave it out for your own`,
    );
  }
}

/** The message for somebody who has named a directory. */
function pemFilesIn(directory: string): string {
  const names = readdirSync(directory).filter((name) => name.endsWith(".pem"));
  const [first, ...more] = names.sort();
  if (first === undefined) return "name a PEM file, which it has none of";
  return `name the PEM file in it, ${more.length > 0 ? "such as " : ""}${join(directory, first)}`;
}

const RESTORE =
  "restore it from a copy. Without one the key is lost: what it owns is then for its canisters' controllers, and the file for you to remove";

/** What a file is that has no private key, and what to do about that, in words. */
function whatElse(text: string): string {
  // A power cut or a full disk can leave an empty file, if a program does not guard against that.
  if (text.replaceAll("\0", "").trim() === "") return `it is empty: ${RESTORE}`;
  if (/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(text)) return `it is torn: ${RESTORE}`;
  const label = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text)?.[1];
  if (label === undefined) return "it is not a PEM file";
  return `it holds a ${label.toLowerCase()}; the file that is kept secret is wanted`;
}

/** The default identity, made on its first use (Ed25519, mode 0600). @throws UserError */
export async function defaultIdentity(passphrase?: Passphrase): Promise<SignIdentity> {
  const file = defaultIdentityFile();
  if (existsSync(file)) return loadIdentity(file, passphrase);
  try {
    makeDirectory(dirname(file), 0o700);
    makeIdentity(file);
    console.error(`icfs: made a new identity, ${file}: keep it, since it owns what you deploy`);
  } catch (error) {
    // If two processes make one at the same time, the first wins, and both use it.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw new UserError(`cannot make an identity (${messageOf(error)}): give one with --identity PEM`);
    }
  }
  return loadIdentity(file);
}

/** Writes a new key to `file`, whole or not at all, also after a power cut. @throws Error; its code is EEXIST when the file exists */
function makeIdentity(file: string): void {
  const temporary = unfinishedNameOf(file);
  const { privateKey } = generateKeyPairSync("ed25519");
  try {
    writeFileSync(temporary, privateKey.export({ type: "pkcs8", format: "pem" }), {
      mode: 0o600,
      flag: "wx",
      flush: true,
    });
    linkSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
  // The key that owns everything deployed from now on must survive a power cut.
  syncDirectorySync(dirname(file));
}
