/**
 * Private keys in PEM files that are encrypted with a passphrase: PKCS#8 (RFC 5958, with PBES2 of RFC 8018) and OpenSSL's older form.
 * OpenSSL decrypts them, except for PKCS#8 whose scrypt (RFC 7914) takes more memory than OpenSSL allows: icp-cli writes such files.
 */
import { createDecipheriv, createPrivateKey, type KeyObject, scryptSync } from "node:crypto";
import { FormatError } from "../../errors.ts";

/** OpenSSL's error for a scrypt that takes more memory than its limit of 32 MiB. */
const TOO_MUCH_MEMORY = "ERR_OSSL_EVP_MEMORY_LIMIT_EXCEEDED";
/** Bytes that scrypt may take. icp-cli's keys take 128 MiB. */
const MOST_MEMORY = 1024 ** 3;
const MOST_LANES = 16;

const OID = {
  pbes2: "2a864886f70d01050d",
  scrypt: "2b06010401da47040b",
  aes256: "60864801650304012a",
} as const;
const AES_256_BYTES = 32;

const TAG = { integer: 0x02, octets: 0x04, oid: 0x06, sequence: 0x30 } as const;

/** The key in an encrypted block of a PEM file. @throws Error when the passphrase is wrong, or the block is damaged */
export function decryptKey(block: string, passphrase: string): KeyObject {
  try {
    return createPrivateKey({ key: block, passphrase });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== TOO_MUCH_MEMORY) throw error;
  }
  const der = decryptScrypt(Buffer.from(block.replace(/-----[^-]*-----/g, ""), "base64"), passphrase);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

/** The PKCS#8 within an EncryptedPrivateKeyInfo. @throws FormatError when it is encrypted in another way; Error of node:crypto */
function decryptScrypt(der: Buffer, passphrase: string): Buffer {
  const info = new Der(new Der(der).next(TAG.sequence));
  const algorithm = new Der(info.next(TAG.sequence));
  const encrypted = info.next(TAG.octets);
  mustBe(algorithm.next(TAG.oid), OID.pbes2);
  const parameters = new Der(algorithm.next(TAG.sequence));
  const derivation = new Der(parameters.next(TAG.sequence));
  const cipher = new Der(parameters.next(TAG.sequence));
  mustBe(derivation.next(TAG.oid), OID.scrypt);
  const scrypt = new Der(derivation.next(TAG.sequence));
  const salt = scrypt.next(TAG.octets);
  const [N, r, p] = [scrypt.number(), scrypt.number(), scrypt.number()] as const;
  mustBe(cipher.next(TAG.oid), OID.aes256);
  const vector = cipher.next(TAG.octets);
  const memory = 128 * r * (N + p + 2);
  if (memory > MOST_MEMORY || p > MOST_LANES) throw new FormatError(`its scrypt wants ${memory} bytes`);
  const key = scryptSync(passphrase, salt, AES_256_BYTES, { N, r, p, maxmem: memory });
  const decipher = createDecipheriv("aes-256-cbc", key, vector);
  return Buffer.concat([decipher.update(encrypted), decipher.final()]);
}

function mustBe(oid: Buffer, expected: string): void {
  if (oid.toString("hex") !== expected) throw new FormatError("it is encrypted in a way that is not known");
}

/** Reads DER values one after the other (X.690, section 8.1). */
class Der {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The content of the next value. @throws FormatError when it has another tag, or is incomplete */
  next(tag: number): Buffer {
    const found = this.#bytes[this.#at];
    let length = this.#bytes[this.#at + 1] ?? 0;
    let start = this.#at + 2;
    if (length >= 0x80) {
      const width = length - 0x80;
      const isKnown = (width === 1 || width === 2) && start + width <= this.#bytes.length;
      length = isKnown ? this.#bytes.readUIntBE(start, width) : Number.POSITIVE_INFINITY;
      start += width;
    }
    const end = start + length;
    if (found !== tag || end > this.#bytes.length) throw new FormatError("it is not DER of a key");
    this.#at = end;
    return this.#bytes.subarray(start, end);
  }

  /** The next value, a number of at most four bytes. @throws FormatError */
  number(): number {
    const bytes = this.next(TAG.integer);
    if (bytes.length === 0 || bytes.length > 4) throw new FormatError("it has a number that is too large");
    return bytes.readUIntBE(0, bytes.length);
  }
}
