/** Canister ids and principals, as people write them. */
import { Principal } from "@icp-sdk/core/principal";
import { UsageError } from "../errors.ts";

/** @throws UsageError when `text` is not a canister id */
export function parseCanisterId(text: string): Principal {
  const principal = parsePrincipalText(text);
  if (principal !== undefined) {
    const other = otherThanCanister(principal);
    if (other === undefined) return principal;
    throw new UsageError(`"${text}" is ${other}, which has no files: an icfs canister's id ${LOOKS_LIKE}`);
  }
  // The id may be inside something longer, such as the address of a web site.
  const [inside] = /[a-z2-7]{5}(-[a-z2-7]{5})+-[a-z2-7]{3}(?![a-z2-7-])/i.exec(text) ?? [];
  const meant =
    inside !== undefined && parsePrincipalText(inside) !== undefined
      ? `say ${inside.toLowerCase()} alone`
      : LIKE_AN_ID.test(text.trim())
        ? "its checksum is wrong: a character is wrong or missing, so copy it again"
        : `it ${LOOKS_LIKE}`;
  throw new UsageError(`"${text}" is not a canister id: ${meant}`);
}

/** An id whose characters may be wrong: digits that no id has are among them. */
const LIKE_AN_ID = /^[a-z\d]{5}(-[a-z\d]{5})+-[a-z\d]{3}$/i;
const LOOKS_LIKE = "looks like oeagv-5qaaa-aaaah-aar4q-cai, and `icfs deploy` prints it";

/** What a principal is that is not a canister's, in words (IC interface specification, "Principals"); undefined: it may be a canister's. */
function otherThanCanister(principal: Principal): string | undefined {
  const bytes = principal.toUint8Array();
  if (bytes.length === 0) return "the network's own management canister";
  if (bytes.length === 1 && bytes[0] === ANONYMOUS) return "the principal of callers without a key";
  return bytes.length === SELF_AUTHENTICATING_BYTES && bytes.at(-1) === SELF_AUTHENTICATING
    ? "somebody's principal"
    : undefined;
}

const ANONYMOUS = 4;
const SELF_AUTHENTICATING = 2;
const SELF_AUTHENTICATING_BYTES = 29;

/** A principal, also in capitals or with blanks around it, as copied from a page or a mail; undefined when `text` is not one. */
export function parsePrincipalText(text: string): Principal | undefined {
  try {
    return Principal.fromText(text.trim().toLowerCase());
  } catch {
    return undefined;
  }
}
