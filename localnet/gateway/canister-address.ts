/** Finds a request's canister, and the URL for that canister. */
import type { IncomingMessage } from "node:http";
import { Principal } from "@icp-sdk/core/principal";
import { GatewayError } from "./gateway-error.ts";

export interface Target {
  /** Undefined: the request names none. */
  readonly canister: Uint8Array | undefined;
  /** Path and query, as the client encoded them. */
  readonly url: string;
}

/** A request line may contain the whole URL, as proxies write it (RFC 9112, 3.2.2). */
const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/i;

/**
 * The canister's id is the first label of the host, below any domain; where that label is not an id, it is the query's `canisterId`.
 *
 * @throws GatewayError 400 when the request line or the id makes no sense, or the domain is the one for unverified answers
 */
export function targetOf(request: IncomingMessage): Target {
  const line = request.url ?? "/";
  const [, authority, rest] = ABSOLUTE.exec(line) ?? [undefined, request.headers.host ?? "", line];
  const url = rest === "" ? "/" : rest!;
  if (!url.startsWith("/")) throw new GatewayError(400, "Malformed Request", `${line} is not a path`);
  const [first = "", second] = authority!.toLowerCase().split(".");
  const byHost = principal(first);
  if (byHost !== undefined && second === "raw")
    throw new GatewayError(
      400,
      "Unknown Domain",
      "This gateway serves verified answers only: leave out .raw",
    );
  return { canister: byHost ?? byQuery(url), url };
}

function byQuery(url: string): Uint8Array | undefined {
  const mark = url.indexOf("?");
  const id = mark < 0 ? null : new URLSearchParams(url.slice(mark)).get("canisterId");
  if (id === null) return undefined;
  const canister = principal(id.toLowerCase());
  if (canister === undefined)
    throw new GatewayError(400, "Incorrect Canister ID", `canisterId=${id} is not a canister id`);
  return canister;
}

/** Undefined when the text is not a principal in its own form, with its checksum and dashes. */
function principal(text: string): Uint8Array | undefined {
  try {
    return Principal.fromText(text).toUint8Array();
  } catch {
    return undefined;
  }
}
