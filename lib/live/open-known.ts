/** Opens a canister as a source, also when the network does not answer and only what is kept on this host is left. */
import { messageOf, UserError } from "../errors.ts";
import type { BlsVerify } from "../ic/certificate/valid-signatures.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { keptKind } from "../source/kept.ts";
import { openSource } from "../source/open-source.ts";
import type { Source, SourceKind } from "../source/source.ts";
import { nothingKept } from "./first-release.ts";
import type { OpeningOptions } from "./opening-options.ts";

/** How it is read. */
export type ReadingOptions = Pick<
  OpeningOptions,
  "source" | "trust" | "readTimeout" | "mirrors" | "offline" | "store" | "log"
>;

/**
 * Opens the canister. When the network does not say what kind of canister it is, the kind last kept on this host is assumed.
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
    // Half of the deadline, so that a request that gets no reply leaves time for another.
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
      `cannot find out what ${address.canister} is: ${messageOf(error)}; goes on with ${kept}, as it was before. If it is another kind now, name that by --source`,
    );
    return open(kept);
  }
}
