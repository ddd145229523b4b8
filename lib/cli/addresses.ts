/** Parses arguments that name a canister, one of its releases, or a principal. The network is added in connect.ts. */
import type { Principal } from "@icp-sdk/core/principal";
import { InvalidArgumentError } from "commander";
import { UsageError } from "../errors.ts";
import { parseCanisterId, parsePrincipalText } from "../ic/canister-id.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { isChannelName } from "../tree/channel.ts";

/** From 1, and with so few digits that the number is exact. */
const RELEASE_NUMBER = /^[1-9]\d{0,14}$/;

/** For arguments that name a release of a canister given before. @throws InvalidArgumentError, for wrong usage */
export function parseReleaseNumber(text: string): number {
  if (!RELEASE_NUMBER.test(text)) throw new InvalidArgumentError("Use a release's number, from 1.");
  return Number(text);
}

/** Whether `text` names a canister or one of its releases. */
export function isRelease(text: string): boolean {
  try {
    parseRelease(text);
    return true;
  } catch {
    return false;
  }
}

/** A principal. @throws UsageError */
export function parsePrincipal(text: string): Principal {
  const principal = parsePrincipalText(text);
  if (principal === undefined) {
    throw new UsageError(`"${text}" is not a principal: \`icfs identity\` prints yours`);
  }
  return principal;
}

/** A canister, or one release of it: `CANISTER`, `CANISTER@NUMBER` or `CANISTER@CHANNEL`. @throws UsageError */
export function parseRelease(text: string): Pick<ReleaseAddress, "canister" | "release" | "channel"> {
  const at = text.lastIndexOf("@");
  if (at < 0) return { canister: parseCanisterId(text) };
  const canister = parseCanisterId(text.slice(0, at));
  const name = text.slice(at + 1);
  if (RELEASE_NUMBER.test(name)) return { canister, release: Number(name) };
  if (isChannelName(name)) return { canister, channel: name };
  throw new UsageError(
    `"${name}" is not a release: give a number from 1 after the @, such as ${canister}@3, or a channel's name, such as ${canister}@stable`,
  );
}
