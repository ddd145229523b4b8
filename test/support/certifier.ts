/**
 * A canister that gives the HTTP answers that a test sets (certifier.mo), and functions to certify such answers: version 2 of
 * response verification, with all headers, regardless of the request (IC interface specification, "Response Verification").
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import * as cbor from "@dfinity/cbor";
import { Actor, type HttpAgent } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import { encodeTree, type HashTree, labels, leaf, witness } from "../../localnet/hash-tree.ts";
import type { LocalNetworkOptions } from "../../localnet/index.ts";
import { hashOfMap } from "../../localnet/ingress.ts";
import { type InstalledCanister, startInstalled } from "./canister-network.ts";
import { compiled } from "./compiled.ts";
import type { Test } from "./icfs.ts";

const MAIN = fileURLToPath(new URL("certifier.mo", import.meta.url));

export type Header = [name: string, value: string];

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Header[];
  readonly body: Uint8Array;
}

interface RawAnswer {
  readonly status_code: number;
  readonly headers: Header[];
  readonly body: Uint8Array;
  readonly upgrade: [] | [boolean];
  readonly parts: Uint8Array[];
}

interface CertifierActor {
  certify(root: Uint8Array): Promise<void>;
  answer(name: string, answer: RawAnswer): Promise<void>;
  lastUpdate(): Promise<[] | [{ method: string; url: string; headers: Header[]; body: Uint8Array }]>;
}

export interface Certifier {
  readonly actor: CertifierActor;
  /**
   * Sets the answer to a request. In a header's value, CERTIFICATE is replaced by the certificate.
   *
   * @param name of the request, such as `GET /a range: bytes=5-`
   */
  answer(name: string, answer: HttpAnswer, more?: Partial<RawAnswer>): Promise<void>;
}

/** The canister's Wasm. */
export const certifierWasm = (): Uint8Array => compiled(MAIN);

/** Starts a network with the canister; it ends with the test. */
export async function startCertifier(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
): Promise<InstalledCanister & Certifier> {
  const started = await startInstalled(t, certifierWasm(), options);
  return { ...started, ...certifierAt(started.agent, started.canister) };
}

/** The canister, if it is installed already. */
export function certifierAt(agent: HttpAgent, canisterId: Principal): Certifier {
  const actor = Actor.createActor<CertifierActor>(candid, { agent, canisterId });
  return {
    actor,
    answer: (name, { status, headers, body }, more = {}) =>
      actor.answer(name, { status_code: status, headers, body, upgrade: [], parts: [], ...more }),
  };
}

const ALL_HEADERS =
  "default_certification(ValidationArgs{certification:Certification{no_request_certification:Empty{},response_certification:ResponseCertification{response_header_exclusions:ResponseHeaderList{headers:[]}}}})";
export const NOTHING_CERTIFIED = "default_certification(ValidationArgs{no_certification:Empty{}})";

/** The certification of a path: an answer with all its headers, or that nothing needs to be certified there. */
export interface CertifiedPath {
  /** `/a/b`; `<*>` at its end covers everything below. */
  readonly path: string;
  readonly answer: HttpAnswer | "anything";
}

/** A certified tree, and the headers that prove its answers. */
export interface Site {
  /** The argument for `certify`. */
  readonly root: Uint8Array;
  /** The answer with its proof at this path. @param shown other paths whose presence or absence the tree shows as well */
  proved(path: string, answer: HttpAnswer, shown?: readonly string[]): HttpAnswer;
}

/** Certifies these answers, and nothing else. */
export function certifiedSite(paths: readonly CertifiedPath[]): Site {
  const tree = treeOf(
    paths.map(({ path, answer }) => [
      "http_expr",
      ...segments(path),
      sha256(answer === "anything" ? NOTHING_CERTIFIED : expressionOf(answer)),
      ...(answer === "anything" ? [] : ["", hashOfAnswer(answer)]),
    ]),
  );
  return {
    root: tree.hash,
    proved(path, answer, shown = []) {
      const paths = [path, ...shown].map((one) =>
        ["http_expr", ...segments(one)].map((label) => Buffer.from(label)),
      );
      const proof = witness(tree, paths);
      const entries = [
        "certificate=:CERTIFICATE:",
        `tree=:${base64(encodeTree(proof))}:`,
        `expr_path=:${base64(["http_expr", ...segments(path)])}:`,
        "version=2",
      ];
      return {
        ...answer,
        headers: [...withExpression(answer.headers), ["IC-Certificate", entries.join(", ")]],
      };
    },
  };
}

const EXPRESSION = "IC-CertificateExpression";

/** The certification expression of an answer: everything, unless the answer has one of its own. */
function expressionOf({ headers }: HttpAnswer): string {
  return headers.find(([name]) => name === EXPRESSION)?.[1] ?? ALL_HEADERS;
}

function withExpression(headers: Header[]): Header[] {
  return headers.some(([name]) => name === EXPRESSION) ? headers : [...headers, [EXPRESSION, ALL_HEADERS]];
}

/** A path without a wildcard gets `<$>` at its end. */
function segments(path: string): string[] {
  const found = path.split("/").slice(1);
  return found.at(-1) === "<*>" ? found : [...found, "<$>"];
}

function hashOfAnswer({ status, headers, body }: HttpAnswer): Buffer {
  const certified = withExpression(headers).map(([name, value]) => [name.toLowerCase(), value]);
  const hash = hashOfMap({ ...Object.fromEntries(certified), ":ic-cert-status": status });
  return sha256(Buffer.concat([hash, sha256(body)]));
}

type Path = readonly (string | Uint8Array)[];

/** Each path ends in an empty leaf. */
function treeOf(paths: readonly Path[]): HashTree {
  if (paths.some((path) => path.length === 0)) return leaf(new Uint8Array());
  const below = new Map<string, { label: Uint8Array; paths: Path[] }>();
  for (const [first, ...rest] of paths) {
    const label = Buffer.from(first!);
    const key = label.toString("hex");
    const entry: { label: Uint8Array; paths: Path[] } = below.get(key) ?? { label, paths: [] };
    entry.paths.push(rest);
    below.set(key, entry);
  }
  return labels(Array.from(below.values(), ({ label, paths }) => [label, treeOf(paths)] as const));
}

function sha256(content: Uint8Array | string): Buffer {
  return createHash("sha256").update(content).digest();
}

function base64(value: unknown): string {
  return Buffer.from(cbor.encodeWithSelfDescribedTag(value as never)).toString("base64");
}

const candid: IDL.InterfaceFactory = ({ IDL }) => {
  const blob = IDL.Vec(IDL.Nat8);
  const headers = IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text));
  const request = IDL.Record({ method: IDL.Text, url: IDL.Text, headers, body: blob });
  const answer = IDL.Record({
    status_code: IDL.Nat16,
    headers,
    body: blob,
    upgrade: IDL.Opt(IDL.Bool),
    parts: IDL.Vec(blob),
  });
  return IDL.Service({
    certify: IDL.Func([blob], [], []),
    answer: IDL.Func([IDL.Text, answer], [], []),
    lastUpdate: IDL.Func([], [IDL.Opt(request)], ["query"]),
  });
};
