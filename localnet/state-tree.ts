/**
 * The state tree's part about canisters, and who can read which paths (interface specification, "The system state tree" and
 * "Request: Read state").
 */
import * as cbor from "@dfinity/cbor";
import { Principal } from "@icp-sdk/core/principal";
import type { Canister } from "./canister.ts";
import { type HashTree, labels, leaf, type Path } from "./hash-tree.ts";
import { HttpError } from "./ingress.ts";
import type { RequestHistory } from "./request-history.ts";

export const CANISTER = Buffer.from("canister");
export const CERTIFIED_DATA = Buffer.from("certified_data");

export function canistersTree(canisters: Iterable<Canister>): HashTree {
  return labels(Array.from(canisters, (canister) => [canister.id, canisterTree(canister)] as const));
}

function canisterTree(canister: Canister): HashTree {
  const entries: [string, HashTree][] = [
    ["controllers", leaf(cbor.encodeWithSelfDescribedTag(canister.controllers))],
  ];
  if (canister.module !== undefined) {
    const metadata = Array.from(
      canister.module.rewritten.metadata,
      ([name, { content }]) => [name, leaf(content)] as const,
    );
    entries.push(["certified_data", leaf(canister.certifiedData)]);
    entries.push(["module_hash", leaf(canister.module.hash)]);
    if (metadata.length > 0) entries.push(["metadata", labels(metadata)]);
  }
  return labels(entries);
}

/**
 * Checks that a sender is allowed to read these paths.
 *
 * @param effective the canister in the URL, undefined for a subnet's endpoint
 * @param flatRanges whether `subnet/ID/canister_ranges` may be requested, as at the older endpoints
 * @throws HttpError with the IC's status
 */
export function checkPaths(
  paths: readonly Path[],
  sender: Uint8Array,
  effective: Uint8Array | undefined,
  flatRanges: boolean,
  canisters: ReadonlyMap<string, Canister>,
  history: RequestHistory,
): void {
  for (const path of paths) {
    const [first, id, item, name] = path;
    const top = first === undefined ? "" : text(first);
    if (top === "time") continue;
    if (top === "subnet" && (flatRanges || item === undefined || text(item) !== "canister_ranges")) continue;
    if (top === "canister_ranges" && effective === undefined) continue;
    if (effective === undefined) throw new HttpError(404, "Invalid path requested.");
    if (top === "canister" && id !== undefined && item !== undefined) {
      checkCanisterPath(id, text(item), name, path.length, sender, effective, canisters);
    } else if (top === "request_status" && id !== undefined) {
      const record = history.find(id);
      if (record !== undefined && Buffer.compare(record.sender, sender) !== 0) {
        throw new HttpError(403, "The user tries to access Request ID not signed by the caller.");
      }
    } else {
      throw new HttpError(404, "Invalid path requested.");
    }
  }
}

function checkCanisterPath(
  id: Uint8Array,
  item: string,
  name: Uint8Array | undefined,
  length: number,
  sender: Uint8Array,
  effective: Uint8Array,
  canisters: ReadonlyMap<string, Canister>,
): void {
  const wanted = Principal.fromUint8Array(id).toText();
  if (Buffer.compare(id, effective) !== 0) {
    const given = Principal.fromUint8Array(effective).toText();
    throw new HttpError(
      400,
      `Effective principal id in URL ${given} does not match requested principal id: ${wanted}.`,
    );
  }
  if ((item === "controllers" || item === "module_hash") && length === 3) return;
  if (item !== "metadata" || name === undefined || length !== 4)
    throw new HttpError(404, "Invalid path requested.");
  const canister = canisters.get(wanted);
  const section = canister?.module?.rewritten.metadata.get(text(name));
  if (canister === undefined || section === undefined || section.isPublic) return;
  if (canister.controllers.some((controller) => Buffer.compare(controller, sender) === 0)) return;
  throw new HttpError(
    403,
    `Custom section ${text(name)} can only be requested by the controllers of the canister.`,
  );
}

function text(label: Uint8Array): string {
  return Buffer.from(label).toString("utf8");
}
