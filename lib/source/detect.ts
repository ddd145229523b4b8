/**
 * What kind of canister it is. A canister that this host has accepted releases from is an icfs canister and no other: no
 * gateway may say that it is one whose bytes are less well proved. Else the canister's interface tells, which is certified, if
 * it is public; else queries that only one kind answers. A query runs no update method, whatever it names.
 */
import type { HttpAgent } from "@dfinity/agent";
import { IDL } from "@dfinity/candid";
import { messageOf, UserError } from "../errors.ts";
import { createAgent, decodeBlob, NO_ARGUMENTS, RejectError } from "../ic/agent.ts";
import { agentMessage } from "../ic/agent-error.ts";
import { decodeRecord } from "../ic/candid.ts";
import { type Call, queries } from "../ic/canister-calls.ts";
import { verifyMetadata } from "../ic/certificate.ts";
import { oneLine } from "../log.ts";
import type { ReleaseAddress } from "./address.ts";
import { fewAttempts } from "./few-attempts.ts";
import { decodeListing } from "./icboot/icboot-canister.ts";
import { hasAccepted } from "./icfs/trust.ts";
import type { SourceKind } from "./source.ts";

/** Characters of an interface: the largest that people write have some ten thousand. */
const MOST_CANDID = 256 * 1024;

interface Kind {
  readonly kind: SourceKind;
  /** Methods that all canisters of the kind have, and those of the kinds behind it have not. */
  readonly methods: readonly string[];
  readonly probe: { readonly method: string; readonly arg: Uint8Array };
  /** Throws when the probe's reply is of another shape. */
  readonly check: (reply: Uint8Array) => unknown;
}

/** First of all: it answers as the original's does, too. */
const ICFS: Kind = {
  kind: "icfs",
  methods: ["release", "headers", "chunk"],
  probe: { method: "release", arg: NO_ARGUMENTS },
  check: decodeBlob,
};

const OTHERS: readonly Kind[] = [
  {
    kind: "assets",
    methods: ["list", "get", "get_chunk", "certified_tree"],
    probe: { method: "certified_tree", arg: IDL.encode([IDL.Record({})], [{}]) },
    check: (reply) => decodeRecord(reply).blob("certificate"),
  },
  {
    kind: "icboot",
    methods: ["listing", "get"],
    probe: { method: "listing", arg: NO_ARGUMENTS },
    check: decodeListing,
  },
];

/** @param requestTimeout milliseconds. @throws UserError when it is of no kind; Error when it cannot be asked */
export async function detectSource(address: ReleaseAddress, requestTimeout: number): Promise<SourceKind> {
  const { canister, rootKey } = address;
  if (hasAccepted(canister, rootKey)) return "icfs";
  const agent = createAgent({ ...address, verifyQuerySignatures: true, requestTimeout });
  // What an icfs canister says of itself is certified, or believed in nothing: no node need have signed it.
  const unsigned = createAgent({ ...address, verifyQuerySignatures: false, requestTimeout });
  const ask = (kind: Kind) =>
    fewAttempts(() => probe(kind, queries(kind === ICFS ? unsigned : agent, canister)));
  // Together: most canisters are of this kind, and a gateway may have nothing but queries.
  const [told, icfs] = await Promise.allSettled([
    fewAttempts(() => publicInterface(agent, address)),
    ask(ICFS),
  ]);
  if (told.status === "fulfilled" && told.value !== undefined) return kindOf(address, told.value);
  if (icfs.status === "fulfilled" && icfs.value === "yes") return "icfs";
  if (told.status === "rejected") throw told.reason;
  if (icfs.status === "rejected") throw icfs.reason;
  const tried = ["its interface is not public", `as icfs: ${icfs.value}`];
  for (const kind of OTHERS) {
    const answer = await ask(kind);
    if (answer === "yes") return kind.kind;
    tried.push(`as ${kind.kind}: ${answer}`);
  }
  throw unknown(address, tried);
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
  const path = [
    Buffer.from("canister"),
    canister.toUint8Array(),
    Buffer.from("metadata"),
    Buffer.from("candid:service"),
  ];
  let certificate: Uint8Array;
  try {
    ({ certificate } = await agent.readState(canister, {
      paths: [path.map((label) => Uint8Array.from(label))],
    }));
  } catch (error) {
    const message = agentMessage(error);
    // The section is private (IC interface specification, "Request: Read state"). If the gateway lies, signatures tell.
    if (/^HTTP status (403|404)/.test(message)) return undefined;
    throw new Error(message);
  }
  const candid = await verifyMetadata(certificate, rootKey, canister, "candid:service");
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

/** "yes", or what it answers instead. @throws Error when it does not answer */
async function probe({ kind, probe: { method, arg }, check }: Kind, call: Call): Promise<string> {
  let reply: Uint8Array;
  try {
    reply = await call(method, arg);
  } catch (error) {
    if (!(error instanceof RejectError)) throw error;
    // It says nothing of what it is.
    if (/\bstopp(ed|ing)\b|out of cycles|frozen|freezing/i.test(error.message)) throw error;
    // A private icfs canister, or an asset canister whose tree is larger than a reply.
    const isKnown = kind === "icfs" ? /canister is private/ : /larger than|too large|exceed/i;
    return kind !== "icboot" && isKnown.test(error.message) ? "yes" : error.message;
  }
  try {
    check(reply);
    return "yes";
  } catch (error) {
    return `${method} answers something else (${messageOf(error)})`;
  }
}
