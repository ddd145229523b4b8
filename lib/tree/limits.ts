/**
 * How large a release and its parts may be (docs/PROTOCOL.md). The canister refuses what is over a limit, and readers refuse it
 * again; its copies, in canister/*.mo, are held to these by a test. Limits of other things stand where they apply: packs in
 * lib/publish/packing.ts, calls in lib/icfs-canister.ts, readahead in lib/readahead.ts.
 */

/** A chunk's bytes. A `put` (2 MiB of ingress) and a reply (3 MiB) take one with room to spare. */
export const MAX_CHUNK_BYTES = 1024 * 1024;
/** Of an encoded manifest. */
export const MAX_MANIFEST_BYTES = 32 * 1024 * 1024;
/** Chunks that a manifest is cut into: 33 bytes each in every header. */
export const MAX_MANIFEST_PIECES = 1000;
/** Files, directories and symlinks of a tree. */
export const MAX_ENTRIES = 100_000;
/** Of all files of a tree together. */
export const MAX_EXTENTS = 1_000_000;
/** Of channels' names. */
export const MAX_CHANNEL_NAME_CHARS = 64;
/** A release's note, or a channel's, in UTF-8. */
export const MAX_NOTE_BYTES = 1024;
/** A path, or a symlink's target, in UTF-8. */
export const MAX_PATH_BYTES = 4096;
/** What lies between two slashes of a path, in UTF-8. */
export const MAX_COMPONENT_BYTES = 255;
/** Symlinks on one way: what Linux follows before it answers ELOOP (MAXSYMLINKS). */
export const MAX_HOPS = 40;
/** What following all links of a tree may cost (rules.ts, LinkBudget). Links made to be slow could ask for 10^12. */
export const MAX_LINK_WORK = 80_000_000;
