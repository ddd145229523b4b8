/**
 * Identities: who signs an update. A key comes from a PEM file, never from the command line, and only from one that
 * nobody else can read.
 */
import { createPrivateKey, generateKeyPairSync, type JsonWebKey } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { SignIdentity } from "@dfinity/agent";
import { Ed25519KeyIdentity } from "@dfinity/identity";
import { Secp256k1KeyIdentity } from "@dfinity/identity-secp256k1";
import { messageOf, UserError } from "../errors.ts";

/** Where the identity lies that publishing commands make for themselves. */
export function defaultIdentityFile(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), ".config"), "icfs", "identity.pem");
}

/**
 * The identity in `file`: Ed25519 (PKCS#8) or secp256k1 (PKCS#8 or SEC1), as openssl, dfx and icp write them.
 * @throws UserError when it cannot be read, is readable by others, or is another kind of key
 */
export function loadIdentity(file: string): SignIdentity {
  let pem: string;
  try {
    const { mode } = statSync(file);
    if ((mode & 0o077) !== 0) {
      throw new UserError(`${file} can be read by others than its owner: run \`chmod 600 ${file}\``);
    }
    pem = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read the identity: ${messageOf(error)}`);
  }
  let jwk: JsonWebKey;
  try {
    // SEC1 files may begin with EC PARAMETERS, which are not a key.
    const block = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?-----END \1-----/.exec(pem)?.[0];
    // Throws for kinds that JWK has no names for.
    jwk = createPrivateKey(block ?? pem).export({ format: "jwk" });
  } catch (error) {
    throw new UserError(
      `${file} holds no private key that can be used (PEM, not encrypted): ${messageOf(error)}`,
    );
  }
  const { kty, crv, d } = jwk;
  const secret = Uint8Array.from(Buffer.from(d ?? "", "base64url"));
  if (kty === "OKP" && crv === "Ed25519") return Ed25519KeyIdentity.fromSecretKey(secret);
  if (kty === "EC" && crv === "secp256k1") return Secp256k1KeyIdentity.fromSecretKey(secret);
  throw new UserError(`${file} holds a key of kind ${crv ?? kty}: use Ed25519 or secp256k1`);
}

/** The default identity, made on its first use (Ed25519, mode 0600). @throws UserError */
export function defaultIdentity(): SignIdentity {
  const file = defaultIdentityFile();
  if (existsSync(file)) return loadIdentity(file);
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    makeIdentity(file);
    console.error(`icfs: made a new identity, ${file}: keep it, it is who owns what you deploy`);
  } catch (error) {
    // Of two that make one at the same time one wins, and both read the winner's.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw new UserError(`cannot make an identity (${messageOf(error)}): give one with --identity PEM`);
    }
  }
  return loadIdentity(file);
}

/** Writes a new key to `file`, whole or not at all. @throws an error of code EEXIST when there is one */
function makeIdentity(file: string): void {
  const temporary = `${file}.${process.pid}`;
  const { privateKey } = generateKeyPairSync("ed25519");
  try {
    writeFileSync(temporary, privateKey.export({ type: "pkcs8", format: "pem" }), {
      mode: 0o600,
      flush: true,
    });
    linkSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
}
