/** The canister as a source, for who goes on with what is kept on this host when the network does not answer. */
import { messageOf, UserError } from "../errors.ts";
import type { BlsVerify } from "../ic/certificate/certificate.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { keptKind } from "../source/kept.ts";
import { openSource } from "../source/open-source.ts";
import type { Source, SourceKind } from "../source/source.ts";
import { nothingKept } from "./first-release.ts";
import type { CanisterMountOptions } from "./options.ts";

/** How it is read. */
export type ReadingOptions = Pick<
  CanisterMountOptions,
  "source" | "trust" | "readTimeout" | "mirrors" | "offline" | "store" | "log"
>;

/**
 * When the network does not say what kind of canister it is, it is what it was when something of it was last kept here.
 *
 * @throws UserError, Error
 */
export async function openKnown(
  address: ReleaseAddress,
  options: ReadingOptions,
  blsVerify: () => BlsVerify | undefined,
): Promise<Source> {
  const { store, offline, log } = options;
  const open = (kind: SourceKind | undefined) =>
    // Half of the deadline: a request that hangs in silence leaves time for another.
    openSource(address, {
      kind,
      trust: options.trust,
      requestTimeout: options.readTimeout / 2,
      mirrors: options.mirrors,
      offline,
      blsVerify,
      log,
    });
  if (options.source !== undefined) return open(options.source);
  const kept = store && (await keptKind(store, address));
  if (offline) {
    if (kept === undefined) throw nothingKept(address.canister);
    return open(kept);
  }
  try {
    const source = await open(undefined);
    if (kept === "assets" && source.kind === "icboot") {
      throw new UserError("an asset canister does not become one that certifies nothing");
    }
    return source;
  } catch (error) {
    if (kept === undefined) throw error;
    log.warn(
      `cannot find out what ${address.canister} is: ${messageOf(error)}; it was ${kept} before, and --source says so if it is not any more`,
    );
    return open(kept);
  }
}
