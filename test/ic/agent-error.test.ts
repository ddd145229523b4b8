import {
  RejectError as AgentRejectError,
  CertificateNotAuthorizedErrorCode,
  CertificateVerificationErrorCode,
  HttpErrorCode,
  HttpFetchErrorCode,
  IngressExpiryInvalidErrorCode,
  InputError,
  ProtocolError,
  QuerySignatureVerificationFailedErrorCode,
  type RequestId,
  TransportError,
  TrustError,
  UncertifiedRejectErrorCode,
} from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { FormatError } from "../../lib/errors.ts";
import { fromAgent } from "../../lib/ic/agent-error.ts";
import { isTransient } from "../../lib/ic/call-errors.ts";

const rejected = (message: string, code = 5, errorCode?: string) =>
  fromAgent(
    new AgentRejectError(
      new UncertifiedRejectErrorCode(new Uint8Array(32) as RequestId, code, message, errorCode, undefined),
    ),
  );
const http = (status: number, body = "", headers: [string, string][] = []) =>
  fromAgent(new ProtocolError(new HttpErrorCode(status, "Status", headers, body)));
const unfetched = (error: unknown) => fromAgent(new TransportError(new HttpFetchErrorCode(error)));

const PREFIX = "Error from Canister oeagv-5qaaa-aaaah-aar4q-cai: ";
const HINT =
  "\nConsider gracefully handling failures from this canister or altering the canister to handle exceptions.";

t.test("a trap's message is the canister's own text", async (t) => {
  const said = "not authorised: only the owner x may publish";
  for (const message of [
    `${PREFIX}Canister called \`ic0.trap\` with message: '${said}'`,
    `${PREFIX}Canister called \`ic0.trap\` with message: '${said}'.${HINT}`,
    `IC0503: ${PREFIX}Canister trapped explicitly: ${said}${HINT}`,
  ]) {
    t.match(rejected(message, 5, "IC0503"), {
      name: "RejectError",
      code: 5,
      errorCode: "IC0503",
      reason: said,
      message: said,
    });
  }
  t.match(
    rejected(`${PREFIX}Canister called \`ic0.trap\` with message: 'a's tree'.${HINT}`),
    { reason: "a's tree", errorCode: undefined },
    "a message with a quote inside",
  );
});

t.test("other rejections are cut to their first line, and to 500 characters", async (t) => {
  t.equal(rejected("Canister x not found\nmore").message, "Canister x not found");
  t.equal(rejected("y".repeat(10_000)).message.length, 500);
  const endless = `${"called `ic0.trap` with message: '".repeat(20_000)}x`;
  const before = process.cpuUsage();
  t.equal(rejected(endless).message.length, 500);
  t.ok(process.cpuUsage(before).user < 1_000_000, "a long message takes less than a second of CPU time");
});

t.test("errors of HTTP, of the connection, and other errors", async (t) => {
  t.match(http(503, "overloaded"), {
    name: "HttpStatusError",
    status: 503,
    message: "HTTP status 503 Status: overloaded",
  });
  for (const [status, hint] of [
    [401, "refuses this host"],
    [403, "refuses this host"],
    [407, "a proxy answers there"],
  ] as const) {
    t.match(
      http(status, "denied"),
      { name: "HttpStatusError", status, message: hint },
      "the error explains the status",
    );
  }
  const certificate = Object.assign(new Error("self-signed certificate"), {
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
  });
  t.match(unfetched(new Error("self-signed certificate", { cause: certificate })), {
    name: "NoAnswerError",
    message: /^self-signed certificate \(its TLS certificate is not trusted on this host: /,
  });
  const cause = new Error("connect ECONNREFUSED 127.0.0.1:1");
  t.match(unfetched(cause), { name: "NoAnswerError", message: cause.message });
  const both = new AggregateError([cause, new Error("other")]);
  t.match(unfetched(both), { name: "NoAnswerError", message: cause.message });
  t.match(
    unfetched(new FormatError("what answers is not an IC network")),
    { name: "NoAnswerError" },
    "a portal",
  );
  // An error of the language stays one: people report it as a bug.
  t.match(fromAgent(new TypeError("Uint8Array expected")), { name: "Error", message: "Uint8Array expected" });
  t.equal(fromAgent(new Error("plain\nwith more")).message, "plain");
  t.equal(fromAgent("thrown text").message, "thrown text");
});

t.test("a wrong signature is a SignatureError, whichever check finds it", async (t) => {
  for (const code of [
    new CertificateVerificationErrorCode("Invalid signature"),
    new QuerySignatureVerificationFailedErrorCode("aaaaa-aa"),
    new CertificateNotAuthorizedErrorCode(Principal.anonymous(), Principal.anonymous()),
  ]) {
    t.match(fromAgent(new TrustError(code)), {
      name: "SignatureError",
      message: /^the signature of the answer is not this network's: /,
    });
  }
});

t.test("a gateway that does not know the canister", async (t) => {
  for (const body of [
    "error: canister_not_found\ndetails: The specified canister does not exist.",
    "Canister lxzze-o7777-77777-aaaaa-cai does not belong to any subnet.",
  ]) {
    t.match(http(400, body), { name: "UnknownCanisterError", status: 400 });
  }
  t.match(http(404, "not found"), { name: "HttpStatusError" });
});

t.test("a request time that the network refuses is a ClockError", async (t) => {
  const wrong = /the network refuses the time of this request: set this host's clock, which says \d{4}-/;
  t.match(http(400, "Specified ingress_expiry not within expected range"), {
    name: "ClockError",
    message: wrong,
  });
  const agent = new InputError(new IngressExpiryInvalidErrorCode("Invalid request expiry: 0", 5));
  t.match(fromAgent(agent), { name: "ClockError", message: wrong });
});

t.test("errors that are worth another attempt, and errors that are not", async (t) => {
  const again: [string, Error][] = [
    ["too busy", http(429)],
    ["gateway down", http(502)],
    ["expired on the way", http(400, "Specified ingress_expiry not within expected range")],
    ["no connection", unfetched(new Error("no answer within 30 s"))],
    ["a transient rejection", rejected("queue full", 2)],
    ["an answer that the agent's decoders choke on", fromAgent(new TypeError("Uint8Array expected"))],
    [
      "an answer with a flipped bit",
      fromAgent(new TrustError(new CertificateVerificationErrorCode("signature"))),
    ],
  ];
  for (const [name, error] of again) t.ok(isTransient(error), name);
  const final: [string, unknown][] = [
    ["a bad request", http(400, "invalid signature")],
    ["not found", http(404)],
    ["no such canister", rejected("Canister not found", 3)],
    ["a trap", rejected("trapped", 5)],
  ];
  for (const [name, error] of final) t.notOk(isTransient(error), name);
});

t.test("Retry-After says how long to wait, up to a minute", async (t) => {
  const asked = (value: string) => http(429, "", [["retry-after", value]]);
  const wanted = {
    "2": 2000,
    "0": 0,
    // A gateway cannot put an upload to sleep for longer than a minute.
    "86400": 60_000,
    [new Date(Date.now() + 3_600_000).toUTCString()]: 60_000,
    [new Date(0).toUTCString()]: 0,
  };
  for (const [value, retryAfter] of Object.entries(wanted)) t.match(asked(value), { retryAfter }, value);
  for (const value of ["", "soon", "-1", "1e9", "99999999999999999999999 s"]) {
    t.match(asked(value), { retryAfter: 0 }, value);
  }
  t.match(http(503), { retryAfter: 0 });
});
