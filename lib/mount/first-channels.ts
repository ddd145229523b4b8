/** What a mount of all channels starts with: the release of each channel now, or the one that was kept on this host. */
import pLimit from "p-limit";
import { messageOf, UserError } from "../errors.ts";
import { ERROR_CODES, RejectError } from "../ic/call-errors.ts";
import { type FirstRelease, nothingKept, openFirst } from "../live/first-release.ts";
import { type Log, named } from "../log.ts";
import type { CanisterAddress } from "../source/address.ts";
import { detectSource } from "../source/detect.ts";
import type { AllChannels } from "../source/icfs/all-channels.ts";
import type { KeptBy } from "../source/kept.ts";
import type { CanisterMountOptions } from "./options.ts";

/**
 * How many channels are opened at once. If the network names releases and does not give their trees, each channel takes some seconds, and
 * systemd waits 90 for a mount. A tree may take a hundred megabytes while it is read.
 */
const PARALLEL_CHANNELS = 8;

/** What a channel is first shown with. */
export interface FirstChannel {
  readonly from: KeptBy;
  readonly first: FirstRelease;
}

export interface FirstChannels {
  readonly opened: ReadonlyMap<string, FirstChannel>;
  /** A warning for whoever mounts. */
  readonly warning: string | undefined;
  /** Why the list of channels could not be fetched; undefined: it was fetched, or must not be asked for. */
  readonly problem: { readonly error: unknown } | undefined;
}

/** How channels are opened. */
export type ChannelOptions = Pick<
  CanisterMountOptions,
  "store" | "offline" | "maxStale" | "readTimeout" | "log"
>;

/**
 * Opens every channel that can be opened. The log says why a channel is missing; it appears once it can be fetched.
 *
 * @throws UserError, VerificationError, ... when there are channels, and none of them can be opened
 */
export async function openFirstChannels(
  address: CanisterAddress,
  channels: AllChannels,
  options: ChannelOptions,
): Promise<FirstChannels> {
  const { offline, log } = options;
  let problem: FirstChannels["problem"];
  const names = offline
    ? channels.known
    : await channels.look().catch(async (error) => {
        problem = { error: await explained(error, address, options) };
        return channels.known;
      });
  const limit = pLimit(PARALLEL_CHANNELS);
  let failure = problem;
  const open = async (name: string): Promise<[string, FirstChannel][]> => {
    try {
      return [[name, await openChannel(name, channels, options)]];
    } catch (error) {
      failure ??= { error };
      log.warn(`channel ${name} cannot be shown: ${messageOf(error)}`);
      return [];
    }
  };
  const opened = new Map((await Promise.all(names.map((name) => limit(open, name)))).flat());
  if (opened.size === 0 && failure !== undefined) throw failure.error;
  if (opened.size === 0 && offline) throw nothingKept(address.canister);
  return {
    opened,
    warning: warningOf(opened) ?? (opened.size === 0 ? noChannels(address, log) : undefined),
    problem,
  };
}

/** The warnings of all channels as one. */
function warningOf(opened: FirstChannels["opened"]): string | undefined {
  const warnings = Array.from(opened, ([name, { first }]) => first.warning && `${name}: ${first.warning}`);
  return warnings.filter((warning) => warning !== undefined).join("; ") || undefined;
}

/** @throws as openFirst() */
export async function openChannel(
  name: string,
  channels: AllChannels,
  options: ChannelOptions,
): Promise<FirstChannel> {
  const from = channels.source(name);
  return { from, first: await openFirst(from, { ...options, log: named(options.log, name) }) };
}

function noChannels({ canister }: CanisterAddress, log: Log): string {
  const warning = `${canister} has no channel yet, so it shows nothing: \`icfs promote ${canister} RELEASE NAME\` makes one, which then appears`;
  log.warn(warning);
  return warning;
}

/** Only icfs canisters have channels; others do not know the method. The error says so. */
async function explained(
  error: unknown,
  address: CanisterAddress,
  { readTimeout }: ChannelOptions,
): Promise<unknown> {
  if (!(error instanceof RejectError) || error.errorCode !== ERROR_CODES.methodNotFound) return error;
  const kind = await detectSource(address, readTimeout).catch(() => undefined);
  if (kind === undefined || kind === "icfs") return error;
  return new UserError(
    `${address.canister} has no channels, as it is not an icfs canister: leave out --all-channels`,
  );
}
