/**
 * What kind of canister it is. A canister that this host has accepted releases from is an icfs canister and no other: no
 * gateway may say that it is one whose bytes are less well proved. Else the canister's interface tells, which is certified, if
 * it is public; else queries that only one kind answers. A query runs no update method, whatever it names.
 *
 * A gateway can say "no" to everything. So that a canister is not of a kind is believed only when its subnet has certified it, or a
 * node has signed it; that it is of one is proved when it is read.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import { messageOf, UserError } from "../errors.ts";
import { createAgent, decodeBlob, NO_ARGUMENTS } from "../ic/agent.ts";
import { ERROR_CODES, HttpStatusError, RejectError, SYS_TRANSIENT } from "../ic/call-errors.ts";
import { decodeRecord } from "../ic/candid.ts";
import { type Call, queries } from "../ic/canister-calls.ts";
import { verifyMetadata } from "../ic/certificate/certificate.ts";
import { certifiedAt } from "../ic/read-state.ts";
import { oneLine } from "../log.ts";
import { isRefusedReader } from "../refusals.ts";
import type { ReleaseAddress } from "./address.ts";
import { isReplyTooLarge } from "./assets/asset-canister.ts";
import { fewAttempts } from "./few-attempts.ts";
import { decodeListing } from "./icboot/icboot-canister.ts";
import { hasAccepted } from "./icfs/accepted-releases.ts";
import { MAX_PROOF_BYTES } from "./icfs/query-reader.ts";
import type { SourceKind } from "./source.ts";

/** Characters of an interface: the largest that people write have some ten thousand. */
const MOST_CANDID = 256 * 1024;

/** Rejections of a canister that does not run: they say nothing of what it is. */
const SILENT: ReadonlySet<string | undefined> = new Set([
  ERROR_CODES.outOfCycles,
  ERROR_CODES.stopped,
  ERROR_CODES.stopping,
]);
/** Nor do those of a node that cannot ask it now (IC interface specification, "Reject codes": fatal, transient and unknown errors). */
const SYSTEM: ReadonlySet<number> = new Set([1, SYS_TRANSIENT, 6]);

interface Kind {
  readonly kind: SourceKind;
  /** Methods that all canisters of the kind have, and those of the kinds behind it have not. */
  readonly methods: readonly string[];
  readonly probe: { readonly method: string; readonly arg: Uint8Array };
  /** Throws when the probe's reply is of another shape. */
  readonly check: (reply: Uint8Array) => unknown;
  /** Whether a rejection of the probe is one of this kind's own. */
  readonly rejects: (error: RejectError) => boolean;
}

/** First of all: it answers as the original's does, too. */
const ICFS: Kind = {
  kind: "icfs",
  methods: ["release", "headers", "chunk"],
  probe: { method: "release", arg: NO_ARGUMENTS },
  check: decodeBlob,
  rejects: isRefusedReader,
};

const OTHERS: readonly Kind[] = [
  {
    kind: "assets",
    methods: ["list", "get", "get_chunk", "certified_tree"],
    probe: { method: "certified_tree", arg: IDL.encode([IDL.Record({})], [{}]) },
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

/** @param requestTimeout milliseconds. @throws UserError when it is of no kind; Error when it cannot be asked */
export async function detectSource(address: ReleaseAddress, requestTimeout: number): Promise<SourceKind> {
  const { canister, rootKey } = address;
  if (hasAccepted(canister, rootKey)) return "icfs";
  const agent = createAgent({ ...address, verifyQuerySignatures: true, requestTimeout });
  // What an icfs canister says of itself is certified, or believed in nothing: for a "yes" no node need have signed.
  const unsigned = createAgent({
    ...address,
    verifyQuerySignatures: false,
    requestTimeout,
    mostBytes: MAX_PROOF_BYTES,
  });
  // Together: most canisters are of this kind, and a gateway may have nothing but queries.
  const [told, icfs] = await Promise.allSettled([
    fewAttempts(() => publicInterface(agent, address)),
    fewAttempts(() => probe(ICFS, queries(unsigned, canister))),
  ]);
  if (told.status === "fulfilled" && told.value !== undefined) return kindOf(address, told.value);
  if (icfs.status === "fulfilled" && icfs.value === "yes") return "icfs";
  if (told.status === "rejected") throw told.reason;
  if (icfs.status === "rejected") throw icfs.reason;
  const tried = ["its interface is not public"];
  for (const kind of [ICFS, ...OTHERS]) {
    const answer = await fewAttempts(() => probe(kind, queries(agent, canister))).catch((error) => {
      throw undecided(error, address, kind);
    });
    if (answer === "yes") return kind.kind;
    tried.push(`as ${kind.kind}: ${answer}`);
  }
  throw unknown(address, tried);
}

/** Of the same class, so that who waits for the network knows whether it may be over soon. */
function undecided(error: unknown, { canister }: ReleaseAddress, { kind, probe }: Kind): unknown {
  if (!(error instanceof Error) || error instanceof UserError) return error;
  error.message = `it cannot be told whether ${canister} is of kind ${kind}, since no node's signed answer to "${probe.method}" came: ${error.message}. If you know what it is, say --source icfs, icboot or assets`;
  return error;
}

/** By its certified interface. @throws UserError */
function kindOf(address: ReleaseAddress, candid: string): SourceKind {
  const methods = methodsIn(candid);
  const found = [ICFS, ...OTHERS].find((kind) => kind.methods.every((method) => methods.has(method)));
  if (found !== undefined) return found.kind;
  throw unknown(address, [`its certified interface has only ${[...methods].join(", ") || "no methods"}`]);
}

function unknown({ canister }: ReleaseAddress, tried: readonly string[]): UserError {
  return new UserError(
    `${canister} is no canister that icfs can read. Tried: ${tried.map(oneLine).join("; ")}. If you know better, say --source icfs, icboot or assets`,
  );
}

/** The canister's Candid, certified; undefined when it is not public. @throws VerificationError; Error */
async function publicInterface(
  agent: HttpAgent,
  { canister, rootKey }: ReleaseAddress,
): Promise<string | undefined> {
  let candid: string | undefined;
  try {
    candid = await certifiedAt(agent, canister, ["metadata", "candid:service"], (certificate) =>
      verifyMetadata(certificate, rootKey, canister, "candid:service"),
    );
  } catch (error) {
    // The section is private (IC interface specification, "Request: Read state"). If the gateway lies, signatures tell.
    if (error instanceof HttpStatusError && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
  return candid !== undefined && candid.length > MOST_CANDID ? undefined : candid;
}

/** Names of methods: what stands before a colon and a parenthesis, or a function's type. */
function methodsIn(candid: string): Set<string> {
  const text = withoutComments(candid);
  const service = text.slice(Math.max(0, text.lastIndexOf("service")));
  const methods = service.matchAll(/(?<!\w)([A-Za-z_]\w{0,200})"?\s{0,20}:\s{0,20}(?:\(|func\b)/g);
  return new Set(Array.from(methods, ([, name]) => name!));
}

/** In one walk: a comment that has no end must not be looked for from each of its beginnings. */
function withoutComments(candid: string): string {
  let text = "";
  let at = 0;
  for (const { 0: opening, index } of candid.matchAll(/\/\/|\/\*/g)) {
    if (index < at) continue;
    text += candid.slice(at, index);
    const closing = opening === "//" ? "\n" : "*/";
    const end = candid.indexOf(closing, index + 2);
    if (end < 0) return text;
    at = end + closing.length;
  }
  return text + candid.slice(at);
}

/** "yes", or what it answers instead. @throws Error when it does not answer, or its answer says nothing of what it is */
async function probe({ probe: { method, arg }, check, rejects }: Kind, call: Call): Promise<string> {
  let reply: Uint8Array;
  try {
    reply = await call(method, arg);
  } catch (error) {
    if (!(error instanceof RejectError) || SILENT.has(error.errorCode) || SYSTEM.has(error.code)) throw error;
    return rejects(error) ? "yes" : error.message;
  }
  try {
    check(reply);
    return "yes";
  } catch (error) {
    return `${method} answers something else (${messageOf(error)})`;
  }
}
