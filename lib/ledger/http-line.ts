/**
 * Lines of an HTTP access log that record what was sent, as written by nginx with examples/nginx.conf, and by `icfs serve` and
 * `icfs mount` with --access-log:
 *
 *     icfs-http TIME ADDRESS METHOD STATUS SENT LENGTH ETAG CANISTER RELEASE HEADER URI
 *
 * An unknown field is -. SENT is how many bytes of the body's LENGTH were sent. nginx does not know RELEASE and HEADER; the URI
 * contains the release if it is below /.icfs/at/.
 */
import { isIP } from "node:net";
import { FormatError } from "../errors.ts";
import { parseMac, plainAddress, type Transfer } from "./line.ts";

export const HTTP_LOG_WORD = "icfs-http";

const FIELDS = 12;
const NUMBER = /^(0|[1-9]\d{0,14})$/;
const HASH = /^[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/;
/** The names of channels, as in lib/tree/channel.ts. */
const CHANNEL = "[a-z0-9][a-z0-9._-]{0,63}";
const CANISTER = new RegExp(`^([a-z0-9-]{1,63})(?:@(${CHANNEL}))?$`);
const IN_CHANNEL = new RegExp(`^@${CHANNEL}$`);
/** nginx writes quotes as \x22, or with escape=json as \", and W/ before the tag of a compressed answer. */
const QUOTES = /\\?"|\\x22/g;
/** How nginx writes bytes that are not ASCII, quotes and backslashes. */
const ESCAPED = /\\x([0-9A-F]{2})/g;

/** An answer with a file. */
export interface HttpAnswer {
  /** When it ended, in milliseconds since 1970. */
  readonly time: number;
  readonly address: string;
  readonly method: string;
  readonly status: number;
  /** Bytes of the body that were sent, and in total. */
  readonly sent: number;
  readonly length: number;
  /** SHA-256 of the file, and of the release's header, in hexadecimal. */
  readonly sha256: string | undefined;
  /** `CANISTER` or `CANISTER@CHANNEL`. */
  readonly canister: string;
  readonly release: number | undefined;
  readonly header: string;
  /** As the client sent it. */
  readonly uri: string;
}

/** The line, with its line ending. */
export function httpLine(answer: HttpAnswer): string {
  const { time, address, method, status, sent, length, sha256, canister, release, header, uri } = answer;
  const at = new Date(time).toISOString().replace(/\.\d+/, "");
  const etag = sha256 === undefined ? "-" : `"${sha256}"`;
  // Node allows no blanks or control characters in URLs, but it does allow bytes that are not ASCII.
  const fields = [at, address, method, status, sent, length, etag, canister, release ?? "-", header];
  return `${HTTP_LOG_WORD} ${fields.join(" ")} ${uri.replace(/[^!-~]/g, encodeURIComponent)}\n`;
}

/** What a line records. */
export type HttpLine =
  | { readonly kind: "whole"; readonly transfer: Transfer }
  /** A part of a file, or an answer that was cut short. */
  | { readonly kind: "part" }
  /** Not a file. */
  | { readonly kind: "other" };

/** @param text without its line ending. @throws FormatError when it is not such a line */
export function parseHttpLine(text: string): HttpLine {
  const fields = text.split(" ", FIELDS + 1);
  if (fields.length !== FIELDS || fields[0] !== HTTP_LOG_WORD)
    throw new FormatError(`it is not ${HTTP_LOG_WORD} with ${FIELDS - 1} fields`);
  const [, time, address, method, status, sent, length, etag, canister, release, header, uri] =
    fields as string[] as [...string[]] & Record<number, string>;
  const at = TIME.test(time!) ? Date.parse(time!) : Number.NaN;
  if (Number.isNaN(at)) throw new FormatError("its time is malformed");
  if (isIP(address!) === 0) throw new FormatError("its address is malformed");
  const [, id, channel] = CANISTER.exec(canister!) ?? [];
  if (id === undefined) throw new FormatError("its canister is malformed");
  if (!NUMBER.test(sent!)) throw new FormatError("its size is malformed");
  const isOurs = HASH.test(header!);
  const path = pathIn(uri!, isOurs);
  if (method !== "GET" || (status !== "200" && status !== "206") || path === undefined)
    return { kind: "other" };
  if (status === "206" || sent !== length) return { kind: "part" };
  const sha256 = etag!.replace(QUOTES, "");
  const number = path.release ?? (NUMBER.test(release!) ? Number(release) : undefined);
  const channelName = path.channel ?? channel;
  return {
    kind: "whole",
    transfer: {
      via: "http",
      time: new Date(at).toISOString().replace(/\.\d+/, ""),
      address: plainAddress(address!),
      mac: path.mac,
      file: `http:/${path.path}`,
      size: Number(sent),
      origin: {
        canister: id,
        ...(channelName === undefined ? {} : { channel: channelName }),
        release: number,
        header: isOurs ? header : undefined,
        sha256: HASH.test(sha256) ? sha256 : undefined,
        path: path.path,
      },
    },
  };
}

interface Asked {
  /** In the tree. */
  readonly path: string;
  readonly release?: number;
  readonly channel?: string;
  readonly mac?: string;
}

/**
 * The requested file, by the rules of the canister, or those of lib/serve/site.ts, which has no channels; undefined: not a file
 * of a tree.
 *
 * @param isOurs whether icfs has written the line, so that the latter apply
 */
function pathIn(uri: string, isOurs: boolean): Asked | undefined {
  const sent = isOurs ? uri : uri.replace(ESCAPED, "%$1");
  const [whole, query = ""] = sent.split("?", 2) as [string, string?];
  let names: string[];
  try {
    names = decodeURIComponent(whole)
      .split("/")
      .filter((name) => name !== "");
  } catch {
    return undefined;
  }
  if (!whole.startsWith("/")) return undefined;
  if (whole.endsWith("/")) names.push("index.html");
  const mac = parseMac(new URLSearchParams(query).get("mac") ?? "");
  const asked = (path: readonly string[]) => ({
    path: path.join("/"),
    ...(mac === undefined ? {} : { mac }),
  });
  const [first, what, which] = names;
  if (first === ".icfs") {
    if (what !== "at" || which === undefined || !NUMBER.test(which) || names.length < 4) return undefined;
    return { ...asked(names.slice(3)), release: Number(which) };
  }
  if (!isOurs && names.length > 1 && IN_CHANNEL.test(first!)) {
    return { ...asked(names.slice(1)), channel: first!.slice(1) };
  }
  return asked(names);
}
