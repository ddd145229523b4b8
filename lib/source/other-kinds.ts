/** How canisters of the other kinds are recognized. Loaded only when a canister may be of one of them. */
import { NO_ARGUMENTS } from "../ic/agent.ts";
import { decodeRecord } from "../ic/candid.ts";
import { isReplyTooLarge } from "./assets/asset-canister.ts";
import { decodeListing } from "./icboot/icboot-canister.ts";
import type { Kind } from "./kind.ts";

/** The Candid of an empty record. */
const EMPTY_RECORD = Buffer.from("4449444c016c000100", "hex");

/** In the order in which they are tried. */
export const OTHERS: readonly Kind[] = [
  {
    kind: "assets",
    methods: ["list", "get", "get_chunk", "certified_tree"],
    probe: { method: "certified_tree", arg: EMPTY_RECORD },
    check: (reply) => decodeRecord(reply).blob("certificate"),
    rejects: isReplyTooLarge,
  },
  {
    kind: "icboot",
    methods: ["listing", "get"],
    probe: { method: "listing", arg: NO_ARGUMENTS },
    check: decodeListing,
    rejects: () => false,
  },
];
