/** Whether a network can be reached at all, and whether it is the network that was meant. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Principal } from "@icp-sdk/core/principal";
import t, { type Test } from "tap";
import { UserError } from "../../lib/errors.ts";
import { createAgent, NO_ARGUMENTS, queryReply } from "../../lib/ic/agent.ts";
import { NoAnswerError, NoSuchCanisterError } from "../../lib/ic/call-errors.ts";
import { queries, replicatedCalls, unverifiedCall } from "../../lib/ic/canister-calls.ts";
import { mustAnswer, unreachable, withHint } from "../../lib/ic/first-contact.ts";
import { managementCanister } from "../../lib/ic/management.ts";
import { NetworkUnreachableError, resolveNetwork } from "../../lib/ic/network.ts";
import { networkProblem } from "../../lib/ic/network-problem.ts";
import { useConnections } from "../../lib/ic/transport/connections.ts";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { startEmptyNetwork } from "../support/networks.ts";

const KEY = new Uint8Array();
const ID = Principal.fromText("lxzze-o7777-77777-aaaaa-cai");

/** A server that ends with the test. @returns its URL, and a function that says how often it was asked */
async function serve(t: Test, listener: Parameters<typeof createServer>[1]) {
  let requests = 0;
  const server: Server = createServer((request, response) => {
    requests += 1;
    (listener as (...args: unknown[]) => void)(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: () => requests };
}

t.test("a silent network, or an address where nothing listens, is unreachable", async (t) => {
  const silent = await serve(t, () => {});
  await t.rejects(mustAnswer(resolveNetwork(silent.url), KEY), {
    name: "UserError",
    message: new RegExp(
      `^no network answers at ${silent.url} \\(no answer within 5 s\\): something is there that does not answer`,
    ),
  });
  t.equal(silent.requests(), 1, "a silent network is asked once");
  await t.rejects(mustAnswer(resolveNetwork("http://127.0.0.1:1"), KEY), {
    message: /\(connect ECONNREFUSED .*\): start one with `icfs localnet`/,
  });
  await t.rejects(mustAnswer(resolveNetwork("http://no.such.host.invalid"), KEY), {
    // Which of the two errors comes depends on this machine's resolver.
    message:
      /\(getaddrinfo (EAI_AGAIN .*\): look at|ENOTFOUND .*\): the name does not exist: correct --network)/,
  });
});

t.test("when even the IC's name does not resolve, the advice is not to correct --network", async (t) => {
  const error = Object.assign(new Error("getaddrinfo ENOTFOUND icp-api.io"), { code: "ENOTFOUND" });
  const { message, advice } = networkProblem(resolveNetwork("ic"), error);
  t.match(
    message,
    /^no network answers at https:\/\/icp-api\.io \(--network ic, the default\) \(getaddrinfo ENOTFOUND/,
  );
  t.match(advice, /resolv\.conf.*--proxy URL.*`icfs localnet`/);
  t.match(networkProblem(resolveNetwork("https://no.such.example"), error).advice, /correct --network/);
});

t.test("a network that cuts the connection off counts as reachable", async (t) => {
  const { url, requests } = await serve(t, (request) => request.socket.destroy());
  await mustAnswer(resolveNetwork(url), KEY);
  t.equal(requests(), 1);
});

t.test("a server that answers, with whatever status, counts as reachable", async (t) => {
  for (const status of [200, 403, 502]) {
    const { url } = await serve(t, (_, response) => void response.writeHead(status).end("<html>"));
    await mustAnswer(resolveNetwork(url), KEY);
  }
});

t.test("the error names the main network, even as the default", async (t) => {
  const error = unreachable(resolveNetwork("ic"), new NoAnswerError("getaddrinfo ENOTFOUND icp-api.io"));
  t.match(
    error.message,
    /^no network answers at https:\/\/icp-api\.io \(--network ic, the default\) \(getaddrinfo ENOTFOUND/,
  );
});

t.test("when a local network answers, the error suggests it", async (t) => {
  const local = resolveNetwork((await startEmptyNetwork(t)).url);
  const nobody = { ...local, url: "http://127.0.0.1:1" };
  const elsewhere = [
    new NetworkUnreachableError("no network answers", "https://icp-api.io"),
    new NoSuchCanisterError("x", "https://icp-api.io", false),
  ];
  const hint = `A local network answers at ${local.url}: did you mean --network local?`;
  for (const error of elsewhere) {
    const hinted = await withHint(error, local);
    t.match(hinted, { name: "UserError", message: `${error.message}. ${hint}` });
    t.equal(await withHint(hinted, local), hinted, "once");
    t.equal(await withHint(error, nobody), error, "the error stays as it is when no local network answers");
  }
  for (const error of [new UserError("other"), new NoSuchCanisterError("x", local.url, true), "text"]) {
    t.equal(await withHint(error, local), error);
  }
  useConnections({ proxy: "http://proxy.example:3128" }, false);
  t.teardown(() => useConnections({}, false));
  const [unreached, absent] = [elsewhere[0], elsewhere.at(-1)];
  t.equal(
    await withHint(unreached, local),
    unreached,
    "with a proxy, the error for an unreachable network stays as it is",
  );
  t.match(
    await withHint(absent, local),
    { message: /did you mean/ },
    "with a proxy, the error for a missing canister still suggests the local network",
  );
});

t.test("the error for a missing canister says so, however it is asked", async (t) => {
  const { url, rootKey, agent: signing } = await startEmptyNetwork(t);
  const network = resolveNetwork(url);
  const agent = createAgent({ network, rootKey, verifyQuerySignatures: true, requestTimeout: 60_000 });
  const ways: Record<string, () => Promise<unknown>> = {
    "by query": () => queryReply(agent, ID, "release", NO_ARGUMENTS),
    "by a kind's query": () => queries(agent, ID)("listing", NO_ARGUMENTS),
    "through consensus": () => replicatedCalls(agent, ID, rootKey)("listing", NO_ARGUMENTS),
    "by a call that is not verified": () => unverifiedCall(agent, ID, "put", NO_ARGUMENTS),
    "by its interface": () => icfsCanister(signing, ID).status(),
    "by the management canister": () => managementCanister(signing, ID).canister_status({ canister_id: ID }),
  };
  const missing = new NoSuchCanisterError(ID.toText(), url, true);
  for (const [way, ask] of Object.entries(ways)) {
    await t.rejects(ask(), { name: "UserError", message: missing.message, url }, way);
  }
  t.equal(
    missing.message,
    `there is no canister ${ID} at ${url}: look at the id, and at --network; a local network forgets its canisters when it ends, unless it has --state`,
  );
});
