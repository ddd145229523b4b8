/**
 * How large a release and its parts may be (docs/PROTOCOL.md). The canister enforces these limits, and readers enforce them
 * again; a test compares them with the copies in canister/*.mo. Other limits are where they apply: packs in
 * lib/publish/packing.ts, calls in lib/icfs-canister.ts, readahead in lib/readahead.ts.
 */

/** Bytes of a chunk. One chunk fits a `put` (2 MiB of ingress) and a reply (3 MiB) with room to spare. */
export const MAX_CHUNK_BYTES = 1024 * 1024;
/** Bytes of an encoded manifest. */
export const MAX_MANIFEST_BYTES = 32 * 1024 * 1024;
/** Chunks that a manifest is cut into: 33 bytes each in every header. */
export const MAX_MANIFEST_PIECES = 1000;
/** Files, directories and symlinks of a tree. */
export const MAX_ENTRIES = 100_000;
/** Extents of all files of a tree together. */
export const MAX_EXTENTS = 1_000_000;
/** Characters of a channel's name. */
export const MAX_CHANNEL_NAME_CHARS = 64;
/** Bytes of a release's note, or of a record's, in UTF-8. */
export const MAX_NOTE_BYTES = 1024;
/** Bytes of a path, or of a symlink's target, in UTF-8. */
export const MAX_PATH_BYTES = 4096;
/** Bytes of a component of a path, in UTF-8. */
export const MAX_COMPONENT_BYTES = 255;
/** Symlinks on one path: the number that Linux follows before it answers ELOOP (MAXSYMLINKS). */
export const MAX_HOPS = 40;
/** What following all links of a tree may cost (LinkBudget in rules.ts). Links that are made to be slow could cost 10^12. */
export const MAX_LINK_WORK = 80_000_000;
