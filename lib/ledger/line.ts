/** The boot ledger's lines, as packaging/dnsmasq-ledger writes them: one for each file that a machine has got whole. */
import { isIP } from "node:net";
import { FormatError } from "../errors.ts";

/** A file that a machine has got whole. What is undefined was not known when the line was written. */
export interface Transfer {
  /** When it had ended, in ISO 8601. */
  readonly time: string;
  readonly address: string;
  /** In lower case. */
  readonly mac: string | undefined;
  /** The file's path on the host that has sent it. */
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  readonly origin: Origin | undefined;
}

/** What the mount has said of the file. Hashes are SHA-256 in hexadecimal. */
export interface Origin {
  readonly canister: string;
  /** Undefined where the canister does not number releases. */
  readonly release: number | undefined;
  /** Of the release's header, or of what the canister lists. */
  readonly header: string;
  /** Of the file. */
  readonly sha256: string | undefined;
  /** The file's path in the tree; no symlink is on it. */
  readonly path: string;
}

export interface Line {
  readonly transfer: Transfer;
  /** SHA-256 of the line before with its line end; undefined in the very first one. */
  readonly previous: string | undefined;
}

const FIELDS = 11;
/** Digits enough for any file, few enough for a number. */
const NUMBER = /^(0|[1-9]\d{0,14})$/;
const HASH = /^[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const CANISTER = /^[a-z0-9-]{1,63}$/;

/** @param text without its line end. @throws FormatError when it is none of the ledger's */
export function parseLine(text: string): Line {
  const fields = text.split(" ", FIELDS + 1);
  if (fields.length !== FIELDS) throw new FormatError(`it has not ${FIELDS} fields`);
  const [time, address, mac, file, size, canister, release, header, sha256, path, previous] = fields as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (!TIME.test(time) || Number.isNaN(Date.parse(time))) throw new FormatError("its time is none");
  if (isIP(address) === 0) throw new FormatError("its address is none");
  return {
    transfer: {
      time,
      address,
      mac: known(mac, MAC, "MAC"),
      file: decoded(file),
      size: Number(must(size, NUMBER, "size")),
      origin:
        canister === "-"
          ? undefined
          : {
              canister: must(canister, CANISTER, "canister"),
              release: release === "-" ? undefined : Number(must(release, NUMBER, "release")),
              header: must(header, HASH, "header's hash"),
              sha256: known(sha256, HASH, "hash"),
              path: decoded(path),
            },
    },
    previous: known(previous, HASH, "hash of the line before"),
  };
}

/** Whether a text can be a MAC; as the ledger has it, or undefined. */
export function parseMac(text: string): string | undefined {
  const mac = text.toLowerCase().replaceAll("-", ":");
  return MAC.test(mac) ? mac : undefined;
}

function known(text: string, pattern: RegExp, what: string): string | undefined {
  return text === "-" ? undefined : must(text, pattern, what);
}

function must(text: string, pattern: RegExp, what: string): string {
  if (!pattern.test(text)) throw new FormatError(`its ${what} is none`);
  return text;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A name on the host's disk need not be UTF-8.
    return text;
  }
}
