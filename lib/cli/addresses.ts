/** What options and arguments name: a network with its root key, an identity, a canister, a release of it, somebody. */
import type { Principal } from "@icp-sdk/core/principal";
import { InvalidArgumentError } from "commander";
import { UsageError } from "../errors.ts";
import { parseCanisterId, parsePrincipalText } from "../ic/agent.ts";
import { mustAnswer } from "../ic/first-contact.ts";
import { gatewaysOf } from "../ic/gateway/gateways.ts";
import { resolveNetwork, rootKeyOf } from "../ic/network.ts";
import type { CanisterAddress, ReleaseAddress } from "../source/address.ts";
import { isChannelName } from "../tree/channel.ts";
import type { MirrorOptions, NetworkOptions } from "./options.ts";
import { givenIdentity } from "./signer.ts";

/**
 * Resolves what the options say. The root key of a loopback network is fetched.
 * @throws UserError, within seconds when no network answers
 */
export async function connect(options: NetworkOptions): Promise<Connection> {
  const connection = await resolveConnection(options);
  const { network, rootKey } = connection;
  // The root key of a loopback network came from there.
  if (network.loopback && options.rootKey === undefined) return connection;
  for (const url of await mustAnswer(network, rootKey)) {
    const why = "its root key is another: it belongs to another network";
    gatewaysOf(network).wrong(url, why);
    console.error(`icfs: ${url} is asked last: ${why}`);
  }
  return connection;
}

/** connect(), for those who can do without the network: it is asked for nothing but a root key that is not known. */
export async function resolveConnection(
  options: NetworkOptions & Partial<MirrorOptions>,
): Promise<Connection> {
  const network = resolveNetwork(options.network);
  if (options.mirrorOnly && network.loopback && options.rootKey === undefined) {
    throw new UsageError(
      `the root key of ${network.url} is not known, and --mirror-only asks no network: give it with --root-key HEX|FILE`,
    );
  }
  const identity = await givenIdentity(options);
  const rootKey = await rootKeyOf(network, options.rootKey);
  return { network, rootKey, ...(identity === undefined ? {} : { identity }) };
}

type Connection = Omit<CanisterAddress, "canister">;

/** connect(), for one canister. @throws UserError */
export async function canisterAddressOf(
  canisterId: string,
  options: NetworkOptions,
): Promise<CanisterAddress> {
  const canister = parseCanisterId(canisterId);
  return { ...(await connect(options)), canister };
}

/** From 1, and with so few digits that it is exact. */
const RELEASE_NUMBER = /^[1-9]\d{0,14}$/;

/** For arguments that are a release of a canister given before. @throws InvalidArgumentError, which is wrong usage */
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

/** Somebody, by their principal. @throws UsageError */
export function parsePrincipal(text: string): Principal {
  const principal = parsePrincipalText(text);
  if (principal === undefined) {
    throw new UsageError(`"${text}" is no principal: \`icfs identity\` prints one's own`);
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
    `"${name}" is no release: give a number from 1 behind the @, such as ${canister}@3, or a channel's name, such as ${canister}@stable`,
  );
}

/** connect(), for one release; with mirrors resolveConnection(), since the network need not be there. @throws UserError */
export async function releaseAddressOf(
  text: string,
  options: NetworkOptions & Partial<MirrorOptions>,
): Promise<ReleaseAddress> {
  const parsed = parseRelease(text);
  const connection = options.mirror === undefined ? connect(options) : resolveConnection(options);
  return { ...(await connection), ...parsed };
}

/** How long interactive commands wait for one answer: a chunk of 1 MiB at 32 KiB/s. */
export const REQUEST_TIMEOUT_MS = 30_000;
