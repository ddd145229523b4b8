/**
 * Lines of the boot ledger, as packaging/dnsmasq-ledger writes them: one for each file that a machine has received completely.
 */
import { isIP } from "node:net";
import { FormatError } from "../errors.ts";

/** A file that a machine has received completely. Undefined fields were unknown when the line was written. */
export interface Transfer {
  /** TFTP transfers are lines of the ledger. HTTP transfers are from a log that does not reveal changes. */
  readonly via: "tftp" | "http";
  /** When it ended, in ISO 8601. */
  readonly time: string;
  readonly address: string;
  /** In lower case. */
  readonly mac: string | undefined;
  /** The file's path on the host that sent it; for HTTP, http:/ and its path in the tree. */
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  readonly origin: Origin | undefined;
}

/** What the mount reported about the file. Hashes are SHA-256 in hexadecimal. */
export interface Origin {
  readonly canister: string;
  /** The channel that served it, if known. */
  readonly channel?: string;
  /** Undefined if the canister does not number releases, or a web server did not know the number. */
  readonly release: number | undefined;
  /** The hash of the release's header, or of the canister's list. Undefined if a web server did not know it. */
  readonly header: string | undefined;
  /** The hash of the file. */
  readonly sha256: string | undefined;
  /** The file's path in the tree, without symlinks. */
  readonly path: string;
}

export interface Line {
  readonly transfer: Transfer;
  /** SHA-256 of the previous line with its line ending; undefined in the very first line. */
  readonly previous: string | undefined;
}

const FIELDS = 11;
/** Enough digits for any file, and few enough for an exact number. */
const NUMBER = /^(0|[1-9]\d{0,14})$/;
const HASH = /^[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const CANISTER = /^[a-z0-9-]{1,63}$/;

/** @param text without its line ending. @throws FormatError when it is not a line of the ledger */
export function parseLine(text: string): Line {
  const fields = text.split(" ", FIELDS + 1);
  if (fields.length !== FIELDS) throw new FormatError(`it does not have ${FIELDS} fields`);
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
  if (!TIME.test(time) || Number.isNaN(Date.parse(time))) throw new FormatError("its time is malformed");
  if (isIP(address) === 0) throw new FormatError("its address is malformed");
  return {
    transfer: {
      via: "tftp",
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

/**
 * Six bytes, as firmware, switches and operating systems write them: with a separator between bytes, pairs or triples of bytes,
 * or without one.
 */
const MACS =
  /^(?:[\da-f]{12}|[\da-f]{2}(?:(?::[\da-f]{2}){5}|(?:-[\da-f]{2}){5}|(?:\.[\da-f]{2}){5})|[\da-f]{4}(?:[.:-][\da-f]{4}){2}|[\da-f]{6}[-:][\da-f]{6})$/i;

/** A MAC as the ledger writes it, in lower case with colons; undefined if the text is not one. */
export function parseMac(text: string): string | undefined {
  if (!MACS.test(text)) return undefined;
  const digits = text.toLowerCase().replaceAll(/[^\da-f]/g, "");
  return digits.match(/../g)!.join(":");
}

/** An IPv4 address as a server writes it that listens to IPv6 and IPv4 alike. */
const MAPPED = /^::ffff:(?=\d+\.)/i;

/** An address in the one form in which dnsmasq writes it: IPv6 has many others. */
export function plainAddress(address: string): string {
  const plain = address.replace(MAPPED, "");
  const url = `http://[${plain}]`;
  return isIP(plain) === 6 && URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : plain;
}

function known(text: string, pattern: RegExp, what: string): string | undefined {
  return text === "-" ? undefined : must(text, pattern, what);
}

function must(text: string, pattern: RegExp, what: string): string {
  if (!pattern.test(text)) throw new FormatError(`its ${what} is malformed`);
  return text;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A name on the host's disk may not be UTF-8. What is ASCII in it can be read nevertheless; %25 stays, to be unambiguous.
    return text.replace(/%(?:2[0-46-9a-f]|[3-6][0-9a-f]|7[0-9a-e])/gi, decodeURIComponent);
  }
}
