/** Which versions of an endpoint icfs asks for, in which order, and for how long it remembers the answer. */
import t from "tap";
import { ApiVersions } from "../../../lib/ic/gateway/api-versions.ts";

const MINUTE = 60_000;
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

/** A gateway. `statusOf` gives its status for each version of an endpoint, such as "v3/query". */
function gateway(statusOf: (form: string) => number) {
  const asked: string[] = [];
  let now = 0;
  const versions = new ApiVersions(() => now);
  const fetch = versions.on(async (url) => {
    const [, version, endpoint] = /\/api\/(v\d)\/\w+\/[\w-]+\/(\w+)$/.exec(String(url)) ?? [];
    const form = endpoint === undefined ? String(url) : `${version}/${endpoint}`;
    asked.push(form);
    return new Response(form, { status: statusOf(form) });
  });
  return {
    pass: (ms: number) => (now += ms),
    /** Asks as the agent does. @returns the requests that the gateway got, and its answer */
    async ask(endpoint: string, origin = "https://one.example", where = "canister") {
      asked.length = 0;
      const version = endpoint === "call" ? 4 : 3;
      const answer = await fetch(new URL(`${origin}/api/v${version}/${where}/${CANISTER}/${endpoint}`));
      return `${asked.join(" ")}: ${answer.status} ${await answer.text()}`;
    },
    fetch,
    asked,
  };
}

const having =
  (...forms: string[]) =>
  (form: string) =>
    forms.includes(form) ? 200 : 404;
const OLD = having("v2/query", "v2/read_state", "v2/call", "v3/call");
const NEW = having("v3/query", "v3/read_state", "v2/call", "v4/call");

t.test("a gateway that has the newest version is asked for no other", async (t) => {
  const { ask } = gateway(NEW);
  t.equal(await ask("query"), "v3/query: 200 v3/query");
  t.equal(await ask("read_state"), "v3/read_state: 200 v3/read_state");
  t.equal(await ask("call"), "v4/call: 200 v4/call");
  t.equal(await ask("read_state", undefined, "subnet"), "v3/read_state: 200 v3/read_state");
});

t.test("an older version is remembered for ten minutes, for each gateway and endpoint", async (t) => {
  for (const status of [404, 405]) {
    const { ask, pass } = gateway((form) => (OLD(form) === 200 ? 200 : status));
    t.equal(await ask("query"), "v3/query v2/query: 200 v2/query");
    t.equal(await ask("query"), "v2/query: 200 v2/query");
    t.equal(
      await ask("call"),
      "v4/call v3/call: 200 v3/call",
      "the version for queries is not assumed for calls",
    );
    t.equal(await ask("call"), "v3/call: 200 v3/call");
    t.equal(await ask("query", "https://two.example"), "v3/query v2/query: 200 v2/query", "another");
    t.equal(
      await ask("query", "https://one.example/ic"),
      "v3/query v2/query: 200 v2/query",
      "an address with another path is another gateway",
    );
    pass(9 * MINUTE);
    t.equal(
      await ask("query"),
      "v2/query: 200 v2/query",
      "the version is still remembered after nine minutes",
    );
    pass(MINUTE);
    t.equal(await ask("query"), "v3/query v2/query: 200 v2/query", "asked again");
    t.equal(await ask("query"), "v2/query: 200 v2/query");
  }
});

t.test("a gateway that has only version 2 of call", async (t) => {
  const { ask } = gateway((form) => (form === "v2/call" ? 202 : 404));
  t.equal(await ask("call"), "v4/call v3/call v2/call: 202 v2/call");
  t.equal(await ask("call"), "v2/call: 202 v2/call");
});

t.test("a change of a gateway's versions is noticed at once, or after ten minutes", async (t) => {
  let has = OLD;
  const { ask, pass } = gateway((form) => has(form));
  await ask("query");
  has = NEW;
  t.equal(
    await ask("query"),
    "v2/query v3/query: 200 v3/query",
    "the newer version is asked for when the older one is gone",
  );
  t.equal(await ask("query"), "v3/query: 200 v3/query");
  has = OLD;
  t.equal(await ask("query"), "v3/query v2/query: 200 v2/query", "and back");
  has = () => 200;
  t.equal(await ask("query"), "v2/query: 200 v2/query", "it has both");
  pass(10 * MINUTE);
  t.equal(await ask("query"), "v3/query: 200 v3/query");
  t.equal(await ask("query"), "v3/query: 200 v3/query");
});

t.test(
  "when all versions give 404, the newest's answer is returned, and nothing is remembered",
  async (t) => {
    const { ask } = gateway((form) => (form.endsWith("/read_state") ? 404 : 200));
    t.equal(await ask("read_state"), "v3/read_state v2/read_state: 404 v3/read_state");
    t.equal(await ask("read_state"), "v3/read_state v2/read_state: 404 v3/read_state");
    t.equal(await ask("query"), "v3/query: 200 v3/query");
  },
);

t.test("an older version's error is passed on, but the version is not remembered", async (t) => {
  let status = 503;
  const { ask } = gateway((form) => (form === "v2/query" ? status : 404));
  for (status of [503, 429, 403, 400]) {
    t.equal(await ask("query"), `v3/query v2/query: ${status} v2/query`);
  }
  status = 200;
  t.equal(await ask("query"), "v3/query v2/query: 200 v2/query");
});

t.test("endpoints without versions, and other statuses, are passed on unchanged", async (t) => {
  const { fetch, asked } = gateway(() => 404);
  t.equal((await fetch("https://one.example/api/v2/status")).status, 404);
  t.same(asked, ["https://one.example/api/v2/status"]);
  for (const status of [400, 403, 429, 500, 502]) {
    const { ask } = gateway(() => status);
    t.equal(await ask("query"), `v3/query: ${status} v3/query`);
  }
});
