/**
 * Detects a canister's kind. If this host has accepted releases from a canister, it is an icfs canister: no gateway can pass it off as a
 * kind whose bytes are less well proved. Otherwise its interface decides, which is certified if it is public. If it is private, icfs sends
 * queries that only one kind answers; a query never runs an update method.
 *
 * A gateway can say "no" to everything. So icfs believes that a canister is not of a kind only if the subnet has certified that, or a node
 * has signed it. That it is of a kind needs no such proof: whatever is read from it is verified as that kind's.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { messageOf, UserError } from "../errors.ts";
import { createAgent, decodeBlob, NO_ARGUMENTS } from "../ic/agent.ts";
import { ERROR_CODES, HttpStatusError, RejectError, SYS_TRANSIENT } from "../ic/call-errors.ts";
import { type Call, queries } from "../ic/canister-calls.ts";
import { verifyMetadata } from "../ic/certificate/certificate.ts";
import { certifiedAt } from "../ic/read-state.ts";
import { oneLine } from "../log.ts";
import { isRefusedReader } from "../refusals.ts";
import type { ReleaseAddress } from "./address.ts";
import { fewAttempts } from "./few-attempts.ts";
import { hasAccepted } from "./icfs/accepted-releases.ts";
import { MAX_PROOF_BYTES } from "./icfs/query-reader.ts";
import type { Kind } from "./kind.ts";
import type { SourceKind } from "./source.ts";

/** Limit on the characters of an interface. The largest that people write have about ten thousand. */
const MOST_CANDID = 256 * 1024;

/** Rejections from a canister that does not run, which say nothing about its kind. */
const SILENT: ReadonlySet<string | undefined> = new Set([
  ERROR_CODES.outOfCycles,
  ERROR_CODES.stopped,
  ERROR_CODES.stopping,
]);
/** Codes of rejections from a node that cannot ask it now (IC interface specification, "Reject codes": fatal, transient, unknown). */
const SYSTEM: ReadonlySet<number> = new Set([1, SYS_TRANSIENT, 6]);

/** Tried before the other kinds, since an icfs canister also answers like an icboot canister. */
const ICFS: Kind = {
  kind: "icfs",
  methods: ["release", "headers", "chunk"],
  probe: { method: "release", arg: NO_ARGUMENTS },
  check: decodeBlob,
  rejects: isRefusedReader,
};

/**
 * The kind of the canister.
 *
 * @param requestTimeout milliseconds without a byte after which a request fails
 * @throws UserError when it is of no known kind; Error when it cannot be asked
 */
export async function detectSource(address: ReleaseAddress, requestTimeout: number): Promise<SourceKind> {
  const { canister, rootKey } = address;
  if (hasAccepted(canister, rootKey)) return "icfs";
  const agent = createAgent({ ...address, verifyQuerySignatures: true, requestTimeout });
  // An icfs canister's data is certified, so an unsigned "yes" does no harm.
  const unsigned = createAgent({
    ...address,
    verifyQuerySignatures: false,
    requestTimeout,
    mostBytes: MAX_PROOF_BYTES,
  });
  // Both at once: most canisters are of this kind, and a gateway may support only queries.
  const [told, icfs] = await Promise.allSettled([
    fewAttempts(() => publicInterface(agent, address)),
    fewAttempts(() => probe(ICFS, queries(unsigned, canister))),
  ]);
  if (told.status === "fulfilled" && told.value !== undefined) return kindOf(address, told.value);
  if (icfs.status === "fulfilled" && icfs.value === "yes") return "icfs";
  if (told.status === "rejected") throw told.reason;
  if (icfs.status === "rejected") throw icfs.reason;
  const { OTHERS } = await import("./other-kinds.ts");
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

/** The error with an explanation. It keeps its class, by which a caller that waits for the network knows whether waiting may help. */
function undecided(error: unknown, { canister }: ReleaseAddress, { kind, probe }: Kind): unknown {
  if (!(error instanceof Error) || error instanceof UserError) return error;
  error.message = `it cannot be told whether ${canister} is of kind ${kind}, since no node's signed answer to "${probe.method}" came: ${error.message}. If you know what it is, say --source icfs, icboot or assets`;
  return error;
}

/** The kind of a canister, by its certified interface. @throws UserError when it is of none */
async function kindOf(address: ReleaseAddress, candid: string): Promise<SourceKind> {
  const methods = methodsIn(candid);
  const isOf = (kind: Kind) => kind.methods.every((method) => methods.has(method));
  if (isOf(ICFS)) return ICFS.kind;
  const { OTHERS } = await import("./other-kinds.ts");
  const found = OTHERS.find(isOf);
  if (found !== undefined) return found.kind;
  throw unknown(address, [`its certified interface has only ${[...methods].join(", ") || "no methods"}`]);
}

function unknown({ canister }: ReleaseAddress, tried: readonly string[]): UserError {
  return new UserError(
    `${canister} is not a canister that icfs can read. Tried: ${tried.map(oneLine).join("; ")}. If you know better, say --source icfs, icboot or assets`,
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
    // The section is private (IC interface specification, "Request: Read state"). If the gateway lies, signed answers will show it.
    if (error instanceof HttpStatusError && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
  return candid !== undefined && candid.length > MOST_CANDID ? undefined : candid;
}

/** The names of a service's methods: what precedes a colon and a parenthesis, or a colon and `func`. */
function methodsIn(candid: string): Set<string> {
  const text = withoutComments(candid);
  const service = text.slice(Math.max(0, text.lastIndexOf("service")));
  const methods = service.matchAll(/(?<!\w)([A-Za-z_]\w{0,200})"?\s{0,20}:\s{0,20}(?:\(|func\b)/g);
  return new Set(Array.from(methods, ([, name]) => name!));
}

/** Candid without its comments, in one pass: the end of an unclosed comment must not be searched for again from each opening in it. */
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

/** "yes", or what the canister answers instead. @throws Error when there is no answer, or one that says nothing about the kind */
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
