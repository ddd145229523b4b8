/** The limits that the canister and its readers share are written twice, in Motoko and here: both must be the same. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { MAX_HASHES_ASKED } from "../../lib/icfs-canister.ts";
import { PACK_MAX_BYTES, PACK_TARGET_BYTES } from "../../lib/publish/packing.ts";
import * as limits from "../../lib/tree/limits.ts";
import { canistersBudget, readersBudget } from "../../lib/tree/rules.ts";

const CANISTER = join(import.meta.dirname, "../../canister");

/** The name of each in the canister's sources: FILE.NAME. */
const SHARED = {
  "store.maxChunkBytes": limits.MAX_CHUNK_BYTES,
  "manifest.maxBytes": limits.MAX_MANIFEST_BYTES,
  "manifest.maxEntries": limits.MAX_ENTRIES,
  "manifest.maxExtents": limits.MAX_EXTENTS,
  "assembly.maxPieces": limits.MAX_MANIFEST_PIECES,
  "channels.maxNameChars": limits.MAX_CHANNEL_NAME_CHARS,
  "main.maxNoteBytes": limits.MAX_NOTE_BYTES,
  "main.maxHashesAsked": MAX_HASHES_ASKED,
  "paths.maxPathBytes": limits.MAX_PATH_BYTES,
  "paths.maxComponentBytes": limits.MAX_COMPONENT_BYTES,
  "paths.maxHops": limits.MAX_HOPS,
  "paths.maxLinkWork": limits.MAX_LINK_WORK,
};
/** The canister's own limits: how much it answers with, or does, at once. */
const OWN = [
  "channels.maxNames",
  "channels.maxShownChars",
  "chunks.maxChunks",
  "chunks.maxLoose",
  "chunks.maxPut",
  "contenttype.maxEnding",
  "files.maxReplyBytes",
  "files.maxSteps",
  "listing.maxEntries",
  "main.maxHistoryBytes",
  "main.maxPageBytes",
  "main.maxRoles",
  "page.maxHeld",
  "responses.maxPieces",
  "retention.maxHeld",
  "retention.maxKept",
  "retention.maxReferences",
  "sitebuild.maxFileHashed",
  "sitebuild.maxHashed",
  "sitebuild.maxPieces",
];

/** Finds lines such as `let maxName : Nat = 1_000;` in all modules. */
async function limitsOfCanister(): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const file of (await readdir(CANISTER)).filter((name) => name.endsWith(".mo"))) {
    const text = await readFile(join(CANISTER, file), "utf8");
    for (const [, name, value] of text.matchAll(/\blet (max\w+)(?: : \w+)? = ([\d_]+);/g)) {
      found.set(`${file.slice(0, -3)}.${name}`, Number(value!.replaceAll("_", "")));
    }
  }
  return found;
}

t.test("the canister and its readers have the same limits", async (t) => {
  const found = await limitsOfCanister();
  t.strictSame(
    [...found.keys()].sort(),
    [...Object.keys(SHARED), ...OWN].sort(),
    "every limit of the canister is known to this test",
  );
  for (const [name, limit] of Object.entries(SHARED)) t.equal(found.get(name), limit, name);
  t.strictSame(
    Object.values(limits).filter((limit) => !Object.values(SHARED).includes(limit)),
    [],
    "every limit of the readers is also the canister's",
  );
});

t.test("publishers limit symlinks as the canister does, and readers no more strictly", async (t) => {
  const [, step] = /let stepBytes = ([\d_]+);/.exec(await readFile(join(CANISTER, "paths.mo"), "utf8"))!;
  t.equal(canistersBudget().component, Number(step!.replaceAll("_", "")));
  t.ok(readersBudget().component <= canistersBudget().component, "readers are no stricter than the canister");
});

t.test("a pack is not larger than a chunk may be", async (t) => {
  t.ok(PACK_TARGET_BYTES < PACK_MAX_BYTES);
  t.ok(PACK_MAX_BYTES <= limits.MAX_CHUNK_BYTES);
});
