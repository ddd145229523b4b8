/** Calls that the agent ends with errors of its own: each becomes an error of icfs, whichever way the call went. */
import {
  RejectError as AgentRejectError,
  CertifiedRejectErrorCode,
  HttpAgent,
  HttpErrorCode,
  HttpFetchErrorCode,
  ProtocolError,
  type RequestId,
  TransportError,
} from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { actorOf } from "../../lib/ic/actor.ts";
import { NO_ARGUMENTS } from "../../lib/ic/agent.ts";
import type { HttpStatusError } from "../../lib/ic/call-errors.ts";
import { replicatedCalls, unverifiedCall } from "../../lib/ic/canister-calls.ts";
import { verifySignature } from "../../lib/ic/certificate/bls.ts";
import type { BlsVerify } from "../../lib/ic/certificate/valid-signatures.ts";
import { certifiedAt } from "../../lib/ic/read-state.ts";
import { TINY } from "../localnet/assemble.ts";
import { startEmptyNetwork } from "../support/networks.ts";

const canister = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");
const nothing = new Uint8Array();
const requestId = new Uint8Array(32) as RequestId;
const SAID = "Error from Canister x: Canister called `ic0.trap` with message: 'over quota'.\nConsider";

/** The ways to ask a canister something. Their agent does `asked`, whatever the request. */
function ways(asked: () => Promise<unknown>): Record<string, () => Promise<unknown>> {
  const agent = {
    host: new URL("https://icp-api.io"),
    call: asked,
    query: asked,
    readState: asked,
    getPrincipal: async () => Principal.anonymous(),
  };
  const asAgent = { ...agent, rootKey: nothing } as unknown as HttpAgent;
  const candid: IDL.InterfaceFactory = ({ IDL }) =>
    IDL.Service({ change: IDL.Func([], [], []), look: IDL.Func([], [], ["query"]) });
  const actor = actorOf<Record<"change" | "look", () => Promise<void>>>(candid, {
    agent: asAgent,
    canisterId: canister,
  });
  return {
    change: actor.change,
    look: actor.look,
    replicated: () => replicatedCalls(asAgent, canister, nothing)("change", nothing),
    unverified: () => unverifiedCall(asAgent, canister, "change", nothing),
    "read state": () => certifiedAt(asAgent, canister, ["controllers"], async (certificate) => certificate),
  };
}

t.test("a rejection that the agent throws becomes a RejectError", async (t) => {
  const rejected = ways(async () => {
    throw new AgentRejectError(new CertifiedRejectErrorCode(requestId, 5, SAID, "IC0503"));
  });
  for (const [name, ask] of Object.entries(rejected)) {
    await t.rejects(ask(), { name: "RejectError", code: 5, errorCode: "IC0503", reason: "over quota" }, name);
  }
});

t.test("a rejection of a call that was not accepted", async (t) => {
  const body = { reject_code: 4, reject_message: "no more", error_code: "IC0406" };
  const refused = ways(async () => ({ requestId, response: { status: 200, body } }));
  for (const name of ["change", "replicated", "unverified"]) {
    await t.rejects(refused[name]!(), {
      name: "RejectError",
      code: 4,
      errorCode: "IC0406",
      reason: "no more",
    });
  }
  const silent = ways(async () => ({ requestId, response: { status: 200, body: { reject_code: 4 } } }));
  for (const name of ["change", "replicated", "unverified"]) {
    await t.rejects(silent[name]!(), { name: "FormatError", message: /without a code or a message/ });
  }
});

/** An agent whose calls go on for so long that only a later read_state has their answers. */
function slowly(agent: HttpAgent): HttpAgent {
  const { fetch } = agent.config;
  return HttpAgent.createSync({
    ...agent.config,
    fetch: async (url, init) => {
      const answer = await fetch!(url, init);
      return String(url).endsWith("/call") ? new Response(null, { status: 202 }) : answer;
    },
  });
}

t.test("a call that is still running is polled until it is done", async (t) => {
  const network = await startEmptyNetwork(t);
  const { rootKey } = network;
  const id = await network.install(TINY);
  const agent = slowly(network.agent);
  for (const call of [
    replicatedCalls(agent, id, rootKey),
    (method: string, arg: Uint8Array) => unverifiedCall(agent, id, method, arg),
  ]) {
    t.equal((await call("bump", NO_ARGUMENTS)).length, 16);
    await t.rejects(call("trap", NO_ARGUMENTS), { name: "RejectError", code: 5, message: /rejects "trap"/ });
  }
  let asked = 0;
  const verify: BlsVerify = async (...parameters) => {
    asked += 1;
    return verifySignature(...parameters);
  };
  const watched = replicatedCalls(agent, id, rootKey, { blsVerify: () => verify });
  t.equal((await watched("bump", NO_ARGUMENTS)).length, 16);
  t.equal(asked, 1, "only the certificate's signature is checked: the delegation's was checked before");
  const another = (await startEmptyNetwork(t)).rootKey;
  await t.rejects(replicatedCalls(agent, id, another)("bump", NO_ARGUMENTS), {
    name: "VerificationError",
    message: /does not verify by the network's root key/,
  });
});

t.test("the error for a frozen canister says how to thaw it, whichever way it was asked", async (t) => {
  const frozen = ways(async () => {
    const said = `Canister ${canister} is out of cycles`;
    throw new AgentRejectError(new CertifiedRejectErrorCode(requestId, 2, said, "IC0207"));
  });
  const topUp = `icp canister top-up --network ic --amount 1t ${canister}`;
  const message = `canister ${canister} is out of cycles: it is frozen, and answers again when it has been topped up (${topUp})`;
  for (const [name, ask] of Object.entries(frozen)) {
    await t.rejects(
      ask(),
      { name: "RejectError", code: 2, errorCode: "IC0207", message, reason: message },
      name,
    );
  }
});

t.test("a request without a usable answer", async (t) => {
  const failures: [thrown: Error, expected: Partial<HttpStatusError>][] = [
    [
      new TransportError(new HttpFetchErrorCode(new Error("no answer within 5 s"))),
      { name: "NoAnswerError" },
    ],
    [
      new ProtocolError(new HttpErrorCode(429, "Too Many", [["Retry-After", "3"]], "")),
      { name: "HttpStatusError", status: 429, retryAfter: 3000 },
    ],
    [new TypeError("Uint8Array expected"), { name: "Error", message: "Uint8Array expected" }],
  ];
  for (const [thrown, expected] of failures) {
    const all = ways(async () => {
      throw thrown;
    });
    for (const [name, ask] of Object.entries(all)) {
      // read_state reports an answer that the agent cannot read as a FormatError: test/ic/read-state.test.ts.
      const isUnreadable = name === "read state" && thrown instanceof TypeError;
      const told = isUnreadable ? { name: "FormatError" } : expected;
      await t.rejects(ask(), told as Error, `${name}: ${thrown.name}`);
    }
  }
});
