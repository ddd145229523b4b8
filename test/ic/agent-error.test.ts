import {
  CertificateVerificationErrorCode,
  HttpErrorCode,
  HttpFetchErrorCode,
  ProtocolError,
  RejectError,
  type RequestId,
  TransportError,
  TrustError,
  UncertifiedRejectErrorCode,
} from "@dfinity/agent";
import t from "tap";
import { UserError } from "../../lib/errors.ts";
import { agentMessage, isRefusedSender, isTransient, retryAfter } from "../../lib/ic/agent-error.ts";

const rejected = (message: string, code = 5) =>
  new RejectError(
    new UncertifiedRejectErrorCode(new Uint8Array(32) as RequestId, code, message, undefined, undefined),
  );
const http = (status: number, body = "") => new ProtocolError(new HttpErrorCode(status, "Status", [], body));

const PREFIX = "Error from Canister oeagv-5qaaa-aaaah-aar4q-cai: ";
const HINT =
  "\nConsider gracefully handling failures from this canister or altering the canister to handle exceptions.";

t.test("a trap is what the canister said", async (t) => {
  const said = "not authorised: only the owner x may publish";
  for (const message of [
    `${PREFIX}Canister called \`ic0.trap\` with message: '${said}'`,
    `${PREFIX}Canister called \`ic0.trap\` with message: '${said}'.${HINT}`,
    `IC0503: ${PREFIX}Canister trapped explicitly: ${said}${HINT}`,
  ]) {
    t.equal(agentMessage(rejected(message)), said);
  }
  t.equal(
    agentMessage(rejected(`${PREFIX}Canister called \`ic0.trap\` with message: 'a's tree'.${HINT}`)),
    "a's tree",
    "quotes inside",
  );
});

t.test("other rejections are their first line, and not too much of it", async (t) => {
  t.equal(agentMessage(rejected("Canister x not found\nmore")), "Canister x not found");
  t.equal(agentMessage(rejected("y".repeat(10_000))).length, 500);
});

t.test("errors of HTTP, of the connection, and of others", async (t) => {
  t.equal(agentMessage(http(503, "overloaded")), "HTTP status 503 Status: overloaded");
  const cause = new Error("connect ECONNREFUSED 127.0.0.1:1");
  const failed = new TransportError(new HttpFetchErrorCode(new TypeError("fetch failed", { cause })));
  t.equal(agentMessage(failed), "connect ECONNREFUSED 127.0.0.1:1");
  const both = new TypeError("fetch failed", { cause: new AggregateError([cause, new Error("other")]) });
  t.equal(agentMessage(new TransportError(new HttpFetchErrorCode(both))), "connect ECONNREFUSED 127.0.0.1:1");
  t.equal(agentMessage(new Error("plain\nwith more")), "plain");
  t.equal(agentMessage("thrown text"), "thrown text");
});

t.test("what is worth another attempt", async (t) => {
  const again: [string, Error][] = [
    ["too busy", http(429)],
    ["gateway down", http(502)],
    ["expired on the way", http(400, "Specified ingress_expiry not within expected range")],
    ["no connection", new TransportError(new HttpFetchErrorCode(new Error("no answer within 30 s")))],
    ["a transient rejection", rejected("queue full", 2)],
    ["an answer that the agent's decoders choke on", new TypeError("Uint8Array expected")],
    ["an answer with a flipped bit", new TrustError(new CertificateVerificationErrorCode("signature"))],
  ];
  for (const [name, error] of again) t.ok(isTransient(error), name);
  const final: [string, unknown][] = [
    ["a bad request", http(400, "invalid signature")],
    ["not found", http(404)],
    ["no such canister", rejected("Canister not found", 3)],
    ["a trap", rejected("trapped", 5)],
    ["what the user has to do something about", new UserError("a file changed")],
    ["nothing", undefined],
  ];
  for (const [name, error] of final) t.notOk(isTransient(error), name);
});

t.test("a sender whom the canister does not take messages from", async (t) => {
  const motoko =
    "Canister called `ic0.trap` with message: 'canister_inspect_message explicitly refused message'";
  t.ok(isRefusedSender(rejected(PREFIX + motoko)));
  t.ok(isRefusedSender(rejected(`${PREFIX}Canister rejected the message`, 4)));
  t.notOk(isRefusedSender(rejected(`${PREFIX}Canister called \`ic0.trap\` with message: 'quota'`)));
  t.notOk(isRefusedSender(http(403, "inspect_message")));
  t.notOk(isRefusedSender(new Error("inspect_message")));
});

t.test("how long to stay away", async (t) => {
  const asks = (value: string) => new ProtocolError(new HttpErrorCode(429, "", [["retry-after", value]], ""));
  t.equal(retryAfter(asks("2")), 2000);
  t.equal(retryAfter(asks("0")), 0);
  t.equal(retryAfter(asks("86400")), 60_000, "a gateway cannot put an upload to sleep");
  t.equal(retryAfter(asks(new Date(Date.now() + 3_600_000).toUTCString())), 60_000, "a date");
  t.equal(retryAfter(asks(new Date(0).toUTCString())), 0, "one that has passed");
  for (const value of ["", "soon", "-1", "1e9", "99999999999999999999999 s"]) {
    t.equal(retryAfter(asks(value)), 0, value);
  }
  t.equal(retryAfter(http(503)), 0);
  t.equal(retryAfter(new Error("other")), 0);
});
