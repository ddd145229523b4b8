/** Which gateway is asked, when another one is asked as well, and for how long one is put aside. The clock is the test's own. */
import t, { type Test } from "tap";
import { NoAnswerError, NoWayError } from "../../../lib/ic/call-errors.ts";
import type { RequestKind } from "../../../lib/ic/gateway/gateway.ts";
import { Gateways, type GatewaysOptions, gatewaysOf } from "../../../lib/ic/gateway/gateways.ts";
import { NotHereError, WrongAnswerError } from "../../../lib/ic/gateway/question.ts";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import { Urgency } from "../../../lib/urgency.ts";
import { stopClock } from "../../support/clock.ts";
import { exactly } from "../../support/exactly.ts";

/** How a gateway treats a request: it answers after so many milliseconds, with a status; fails after them; or never answers. */
type Behaviour =
  | { readonly after: number; readonly status?: number; readonly headers?: Record<string, string> }
  | { readonly fails: string | Error; readonly after?: number }
  /** Something comes after so many milliseconds, and then nothing. */
  | { readonly stalls: number }
  /** Something comes each time that so many milliseconds have passed, without end. */
  | { readonly drips: number }
  | "silent";

const LIMIT = 5000;

function stage(t: Test, behaviours: Record<string, Behaviour>, options?: GatewaysOptions) {
  const clock = stopClock(t);
  const gateways = new Gateways(Object.keys(behaviours), options);
  const asked: string[] = [];
  const ended: string[] = [];
  const carry = (url: string, signal: AbortSignal, received: () => void) =>
    new Promise<Response>((resolve, reject) => {
      asked.push(url);
      let isUnderWay = true;
      signal.addEventListener("abort", () => {
        if (isUnderWay) ended.push(url);
        reject(signal.reason);
      });
      const does = behaviours[url]!;
      if (does === "silent") return;
      if ("drips" in does) {
        const timer = setInterval(received, does.drips);
        signal.addEventListener("abort", () => clearInterval(timer));
        return;
      }
      if ("stalls" in does) return void setTimeout(received, does.stalls);
      setTimeout(
        () => {
          isUnderWay = false;
          if ("fails" in does)
            return reject(typeof does.fails === "string" ? new Error(does.fails) : does.fails);
          const { status = 200, headers = {} } = does;
          resolve(new Response(null, { status, headers }));
        },
        "fails" in does ? (does.after ?? 0) : does.after,
      );
    });
  return {
    gateways,
    clock,
    behaviours,
    ended,
    /** The gateways that were asked since the last time, and the one that has answered. */
    async ask({
      kind = "query" as RequestKind,
      last = new Map<string, number>(),
      within = 20_000,
      whole = Number.POSITIVE_INFINITY,
      urgency = undefined as Urgency | undefined,
      limit = LIMIT,
    } = {}) {
      asked.length = 0;
      ended.length = 0;
      const start = performance.now();
      const answer = gateways.ask({ kind, limit, last, whole, urgency }, carry).then(
        ({ response, url }) => ({ by: url, status: response.status }),
        (error: Error) => ({ error }),
      );
      let result: { by?: string; status?: number; error?: Error } | undefined;
      void answer.then((one) => {
        result = one;
      });
      while (result === undefined && performance.now() - start < within) await clock.pass(1);
      return { ...result, asked: [...asked], took: performance.now() - start };
    },
    health: (url: string) => gateways.health().find((one) => one.url === url)!,
  };
}

t.test("a single gateway is asked, whatever it does", async (t) => {
  const { ask, behaviours, health, clock } = stage(t, { a: { after: 50 } });
  t.match(await ask(), { by: "a", status: 200, asked: exactly("a"), took: 50 });
  behaviours.a = { after: 1, status: 503, headers: { "retry-after": "30" } };
  t.match(await ask(), { by: "a", status: 503, asked: exactly("a") });
  t.match(
    await ask(),
    { by: "a", status: 503, asked: exactly("a"), took: 1 },
    "a single gateway is asked again at once, despite its Retry-After",
  );
  behaviours.a = { fails: "gone" };
  t.match(await ask(), { error: { message: "gone" }, asked: exactly("a") });
  behaviours.a = { after: LIMIT };
  t.match(await ask(), { by: "a", asked: exactly("a"), took: LIMIT });
  await clock.pass(1);
  t.match(health("a"), { answers: 2, failures: 1, late: 0, limited: 2, wrong: 0, aside: undefined });
});

t.test("the quickest gateway is asked, and the others from time to time, to measure them", async (t) => {
  const { ask, behaviours, clock, ended } = stage(t, {
    a: { after: 90 },
    b: { after: 20 },
    c: { after: 40 },
  });
  t.match(
    await ask(),
    { by: "b", asked: exactly("a", "b", "c"), took: 20 },
    "all gateways are asked while nothing is known about them",
  );
  t.same(ended, ["a", "c"], "the slower requests are cancelled");
  t.match(await ask(), { by: "b", asked: exactly("b") });
  t.match(
    await ask({ kind: "read_state" }),
    { by: "b", asked: exactly("b") },
    "another kind of request goes to the same gateway first",
  );
  behaviours.b = { after: 60 };
  t.match(
    await ask(),
    { by: "b", asked: exactly("b"), took: 60 },
    "a gateway that is slower, but not late, is still asked first",
  );
  clock.skip(60_001);
  t.match(
    await ask(),
    { by: "c", asked: exactly("b", "a", "c"), took: 40 },
    "the other gateways are measured again after a minute",
  );
  behaviours.c = { after: 5 };
  clock.skip(60_001);
  t.match(await ask(), { by: "c", took: 5 });
  t.match(
    await ask(),
    { by: "c", asked: exactly("c") },
    "the gateway that has become the quickest is asked first",
  );
});

t.test("when one gateway is late, another is asked too", async (t) => {
  const { ask, behaviours, health, clock, ended } = stage(t, { a: { after: 100 }, b: { after: 150 } });
  await ask();
  behaviours.a = "silent";
  t.match(
    await ask(),
    { by: "b", asked: exactly("a", "b"), took: 400 + 150 },
    "an answer is late after four times the usual time",
  );
  t.same(ended, ["a"], "the late request is cancelled");
  t.match(health("a"), { late: 1, failures: 0, aside: { why: /^nothing came for 550 ms/ } });
  t.match(
    await ask(),
    { by: "b", asked: exactly("b"), took: 150 },
    "the next request goes straight to the other gateway",
  );
  clock.skip(1000);
  t.match(
    await ask(),
    { by: "b", asked: exactly("b") },
    "the late gateway now counts as slower, and is not asked first",
  );
  behaviours.a = { after: 1 };
  clock.skip(61_000);
  await ask();
  t.match(await ask(), { by: "a", asked: exactly("a"), took: 1 }, "back");
  t.equal(health("a").aside, undefined);
});

t.test("a gateway that stalls after its first bytes is late", async (t) => {
  const stalled = stage(t, { a: { after: 10 }, b: { after: 300 } });
  await stalled.ask();
  stalled.behaviours.a = { stalls: 10 };
  t.match(await stalled.ask(), { by: "b", asked: exactly("a", "b"), took: 10 + 200 + 300 });
  t.match(stalled.health("a"), { late: 1, aside: {} });
});

t.test("a gateway busy with another request is given longer than a silent one", async (t) => {
  const { ask, behaviours, gateways, clock } = stage(t, { a: { after: 10 }, b: { after: 50 } });
  await ask();
  behaviours.a = { after: 500 };
  // Another request gets bytes from the gateway all the time.
  let receive: () => void = () => {};
  const other = gateways.ask({ kind: "query", limit: LIMIT }, (_url, _signal, received) => {
    receive = received;
    return new Promise<Response>(() => {});
  });
  const timer = setInterval(() => receive(), 50);
  t.match(await ask(), { by: "a", asked: exactly("a"), took: 500 });
  clearInterval(timer);
  void other;
  behaviours.a = "silent";
  await clock.pass(300);
  t.match(await ask(), { by: "b" });
});

t.test("no gateway takes a reader's whole deadline: each gets a part of it", async (t) => {
  const { ask, behaviours } = stage(t, {
    a: { after: 900 },
    b: { after: 910 },
    c: { after: 920 },
    d: { after: 930 },
  });
  await ask();
  for (const url of ["a", "b", "c"]) behaviours[url] = "silent";
  t.match(await ask(), { by: "d", asked: exactly("a", "b", "c", "d"), took: LIMIT / 4 + 2 * 1000 + 930 });
  t.match(await ask(), { by: "d", asked: exactly("d") });
});

t.test("a failing gateway is put aside, longer each time, and asked when no other answers", async (t) => {
  const { ask, behaviours, health, clock } = stage(t, { a: { fails: "reset" }, b: { after: 30 } });
  t.match(await ask(), { by: "b", took: 30 });
  t.match(health("a"), { failures: 1, aside: { why: "reset" } });
  for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
    clock.skip(1000 * seconds - 60);
    t.match(await ask(), { by: "b", asked: exactly("b") }, `put aside for ${seconds} s`);
    clock.skip(60);
    // b fails now, so a is asked, whatever is known of it.
    behaviours.b = { fails: "b, too" };
    t.match(await ask(), { error: { name: "NoAnswerError", message: /^no gateway answers: / } });
    behaviours.b = { after: 30 };
    await ask();
  }
  behaviours.a = { after: 5 };
  behaviours.b = { fails: "gone" };
  t.match(await ask(), { by: "a" }, "a gateway that was put aside is asked when no other answers");
  t.equal(health("a").aside, undefined, "an answer ends the time aside");
});

t.test("when all gateways fail, the error names each with its own reason", async (t) => {
  const { ask } = stage(t, { a: { fails: "connect ECONNREFUSED" }, b: { fails: "no answer within 5 s" } });
  const { error } = await ask();
  t.match(error, {
    name: "NoAnswerError",
    message: "no gateway answers: a: connect ECONNREFUSED; b: no answer within 5 s",
    cause: { message: "connect ECONNREFUSED" },
  });
});

t.test("a gateway that limits is left alone for as long as it says, while another answers", async (t) => {
  const limiting = { after: 1, status: 429, headers: { "retry-after": "20" } };
  const { ask, behaviours, health, clock } = stage(t, { a: { after: 1 }, b: { after: 10 } });
  await ask();
  behaviours.a = limiting;
  t.match(await ask(), { by: "b", status: 200, asked: exactly("a", "b") });
  t.match(health("a"), { limited: 1, failures: 0, aside: { why: "HTTP status 429" } });
  clock.skip(19_900);
  t.match(await ask(), { by: "b", asked: exactly("b") });
  behaviours.b = { fails: "gone" };
  t.match(
    await ask(),
    { by: "a", status: 429, asked: exactly("b", "a") },
    "a limiting gateway is asked when no other is left",
  );
  behaviours.b = { after: 10, status: 503 };
  behaviours.a = { after: 1 };
  clock.skip(20_000);
  t.match(await ask(), { by: "a", status: 200, asked: exactly("a") });
  behaviours.a = { after: 1, status: 503 };
  t.match(await ask(), { status: 503 }, "when all gateways limit requests, their status is the answer");
});

t.test("a lying gateway is asked last, for minutes", async (t) => {
  const { ask, behaviours, gateways, health, clock } = stage(t, {
    a: { after: 1 },
    b: { after: 10 },
    c: { after: 20 },
  });
  await ask();
  const events: string[] = [];
  gateways.tell = (event) => events.push(event);
  let pause = 10;
  for (const times of [1, 2, 3, 4, 5, 6, 7, 8]) {
    t.match(await ask(), { by: "a" }, "the quickest gateway answers");
    gateways.wrong("a", "chunk 12 arrived with other bytes");
    gateways.wrong("a", "of several at once one counts");
    t.match(health("a"), { wrong: 2 * times, aside: { why: /chunk 12 arrived/ } });
    clock.skip(1000 * pause - 50);
    const { asked } = await ask();
    t.notOk(asked.includes("a"), `put aside for ${pause} s`);
    clock.skip(61);
    pause = Math.min(2 * pause, 600);
    if (times === 1) {
      // The gateway that was wrong comes after one that fails, and after one that limits its clients.
      gateways.wrong("a", "again");
      behaviours.b = { fails: "gone" };
      behaviours.c = { after: 1, status: 429, headers: { "retry-after": "1" } };
      t.match(await ask(), { by: "a", asked: exactly("b", "c", "a") });
      behaviours.b = { after: 10 };
      behaviours.c = { after: 20 };
      clock.skip(1000 * pause);
      await ask();
      break;
    }
  }
  t.match(events[0], "the gateway a is put aside: its answer was wrong: chunk 12 arrived with other bytes");
});

t.test("a gateway that has answered a question wrong is asked last for it", async (t) => {
  const { ask, behaviours } = stage(t, { a: { after: 1 }, b: { after: 10 } });
  await ask();
  t.match(await ask({ last: new Map([["a", 1]]) }), { by: "b", asked: exactly("b") });
  behaviours.b = { fails: "gone" };
  t.match(await ask({ last: new Map([["a", 1]]) }), { by: "a", asked: exactly("b", "a") });
});

t.test("an HTTP error is believed when all gateways agree, or none says otherwise soon", async (t) => {
  const { ask, behaviours, health } = stage(t, { a: { after: 1 }, b: { after: 10 }, c: { after: 20 } });
  await ask();
  behaviours.a = { after: 1, status: 404 };
  t.match(
    await ask(),
    { by: "b", status: 200, asked: exactly("a", "b") },
    "an error status from one gateway alone is not believed",
  );
  t.match(health("a"), { failures: 1, aside: { why: "HTTP status 404" } });
  behaviours.b = { after: 1, status: 404 };
  t.match(await ask(), { by: "c", status: 200, asked: exactly("b", "c") });
  behaviours.c = { after: 1, status: 404 };
  t.match(await ask(), { status: 404, asked: exactly("c", "a", "b") }, "all say it");
  t.match(health("c"), { failures: 0, aside: undefined });
  behaviours.a = { after: 900 };
  t.match(
    await ask(),
    { by: "a", status: 200, asked: exactly("c", "a", "b") },
    "a slow third gateway can contradict two others",
  );
});

t.test("for a second, another opinion is waited for", async (t) => {
  const { ask } = stage(t, { a: { after: 1, status: 404 }, b: "silent" });
  t.match(await ask(), { by: "a", status: 404, took: 1 + 1000 });
});

t.test("for a call, another opinion is waited for as long as the subnet takes", async (t) => {
  const { ask, behaviours } = stage(t, { a: { after: 1, status: 403 }, b: { after: 3000 } });
  t.match(await ask({ kind: "call" }), { by: "b", status: 200, asked: exactly("a", "b"), took: 3001 });
  behaviours.b = { after: 3000, status: 403 };
  t.match(await ask({ kind: "call" }), { status: 403 });
});

t.test("the error is a NoWayError only when waiting helps with no gateway", async (t) => {
  const { ask, gateways } = stage(t, { a: { fails: "gone" }, b: { fails: "gone" } });
  t.match(await ask(), { error: { name: "NoAnswerError", message: "no gateway answers: a: gone; b: gone" } });
  const fail = (errors: Record<string, Error>) =>
    gateways.ask({ kind: "query", limit: LIMIT }, async (url) => {
      throw errors[url];
    });
  const login = new NoWayError("the proxy wants a login", { advice: "give it" });
  const both = { name: "NoWayError", message: /a: the proxy .*; b: the proxy/, advice: "give it" };
  await t.rejects(fail({ a: login, b: login }), both);
  await t.rejects(fail({ a: login, b: new NoAnswerError("gone") }), { name: "NoAnswerError" });
});

t.test("a call is sent to one gateway at a time, and each has longer", async (t) => {
  const { ask, behaviours } = stage(t, { a: { after: 4000 }, b: { after: 2000 } });
  const call = { kind: "call", limit: 40_000 } as const;
  t.match(await ask(call), { by: "a", asked: exactly("a"), took: 4000 }, "a call may take seconds");
  behaviours.a = "silent";
  t.match(
    await ask(call),
    { by: "b", asked: exactly("a", "b"), took: 10_000 + 2000 },
    "a silent gateway is late after a quarter of the limit",
  );
  behaviours.b = { fails: "reset" };
  behaviours.a = { after: 10 };
  t.match(
    await ask(call),
    { by: "a", asked: exactly("b", "a") },
    "a call that fails at one gateway is sent to another",
  );
});

t.test("all users of a network share one record of its gateways", async (t) => {
  const network = resolveNetwork("http://127.0.0.1:1,http://127.0.0.1:2");
  t.equal(gatewaysOf(network), gatewaysOf(network));
  t.same(
    gatewaysOf(network)
      .health()
      .map(({ url }) => url),
    network.gateways,
  );
});

const MIRRORS: GatewaysOptions = { first: "as named", called: "mirror" };

t.test("as named: the first is asked while it answers, however quick the others are", async (t) => {
  const { ask, clock } = stage(t, { a: { after: 150 }, b: { after: 1 } }, MIRRORS);
  for (let i = 0; i < 3; i++) t.match(await ask({ kind: "get" }), { by: "a", asked: exactly("a") });
  clock.skip(120_000);
  t.match(
    await ask({ kind: "get" }),
    { by: "a", asked: exactly("a") },
    "no other mirror is tried out beside the first",
  );
});

t.test("as named: a late mirror is overtaken by the next, and later asked first again", async (t) => {
  const { ask, behaviours, clock, health } = stage(t, { a: { after: 10 }, b: { after: 20 } }, MIRRORS);
  await ask({ kind: "get" });
  behaviours.a = "silent";
  t.match(await ask({ kind: "get" }), { by: "b", asked: exactly("a", "b") });
  t.match(health("a"), { late: 1, aside: { why: /nothing came for/ } });
  t.match(
    await ask({ kind: "get" }),
    { by: "b", asked: exactly("b") },
    "the late mirror is not asked first again",
  );
  behaviours.a = { after: 10 };
  await clock.pass(1500);
  t.match(await ask({ kind: "get" }), { by: "a", asked: exactly("a") });
});

t.test("as named: a slow second mirror is not asked each time that the first is late", async (t) => {
  const slow = { after: 2600 };
  const { ask, behaviours, clock } = stage(t, { a: { after: 1 }, b: slow }, MIRRORS);
  const get = () => ask({ kind: "get", whole: LIMIT });
  await get();
  // Like a cache that has to fetch first: far later than usual.
  behaviours.a = { after: 1900 };
  t.match(await get(), { by: "a", asked: exactly("a"), took: 1900 }, "not late");
  behaviours.a = { after: 4900 };
  t.match(await get(), { by: "b", asked: exactly("a", "b") }, "late");
  await clock.pass(1001);
  behaviours.a = { after: 4000 };
  t.match(
    await get(),
    { by: "a", asked: exactly("a"), took: 4000 },
    "a second late answer, so soon after the first, is waited for",
  );
  behaviours.a = "silent";
  t.match(
    await get(),
    { by: "b", asked: exactly("a", "b"), took: LIMIT + slow.after },
    "the silent mirror is overtaken only after the whole time limit",
  );
  await clock.pass(2001);
  behaviours.a = { after: 1 };
  for (let i = 0; i < 10; i++) t.match(await get(), { by: "a", asked: exactly("a") });
  behaviours.a = { after: 4900 };
  t.match(
    await get(),
    { by: "b", asked: exactly("a", "b") },
    "the mirror can be overtaken again after some answers",
  );
});

t.test(
  "as named: readers do not keep waiting for a silent mirror when the next answers at once",
  async (t) => {
    const { ask, behaviours, clock } = stage(t, { a: { after: 1 }, b: { after: 5 } }, MIRRORS);
    const get = () => ask({ kind: "get", whole: LIMIT });
    await get();
    behaviours.a = "silent";
    const together = await Promise.all(Array.from({ length: 5 }, get));
    for (const { by, took } of together) t.ok(by === "b" && took <= 2010, `${took} ms`);
    for (const pause of [1001, 2001, 4001]) {
      await clock.pass(pause);
      const { by, took } = await get();
      t.ok(
        by === "b" && took <= LIMIT / 2 + 5,
        `the silent mirror is overtaken earlier on later requests: ${took} ms`,
      );
    }
  },
);

t.test("a request that no reader waits for is not late until a reader does", async (t) => {
  const { ask, behaviours, health, clock } = stage(t, { a: { after: 1 }, b: { after: 5 } }, MIRRORS);
  const load = (urgency: Urgency) => ask({ kind: "get", whole: LIMIT, within: 10 * LIMIT, urgency });
  behaviours.a = { after: 3000 };
  t.match(
    await load(new Urgency()),
    { by: "b", asked: exactly("a", "b") },
    "a late mirror that has not answered before is overtaken",
  );
  await clock.pass(1001);
  behaviours.a = { after: 1 };
  await load(new Urgency());
  behaviours.a = { after: 6 * LIMIT };
  t.match(await load(new Urgency()), { by: "a", asked: exactly("a"), took: 6 * LIMIT });
  const urgency = new Urgency();
  setTimeout(() => urgency.rise(), 3 * LIMIT);
  t.match(
    await load(urgency),
    { by: "b", asked: exactly("a", "b"), took: 3.5 * LIMIT + 5 },
    "the mirror is overtaken as usual once a reader waits",
  );
  await clock.pass(1001);
  behaviours.a = { after: 1 };
  await load(new Urgency());
  behaviours.a = { fails: "no answer", after: 3 * LIMIT };
  t.match(await load(new Urgency()), { by: "b", took: 3 * LIMIT + 5 });
  await clock.pass(1001);
  behaviours.a = { after: 1 };
  await ask({ kind: "get" });
  t.match(health("a"), { aside: undefined });
  behaviours.a = { after: 4000 };
  t.match(
    await load(new Urgency()),
    { by: "b", asked: exactly("a", "b") },
    "a mirror that failed after such a long wait is overtaken when it is late",
  );
});

t.test("a mirror that lacks a file is not put aside, and one with wrong bytes is", async (t) => {
  const missing = { fails: new NotHereError("it has none") };
  const { ask, behaviours, clock, health, gateways } = stage(t, { a: missing, b: { after: 5 } }, MIRRORS);
  const told: string[] = [];
  gateways.tell = (event) => told.push(event);
  for (let i = 0; i < 2; i++) t.match(await ask({ kind: "get" }), { by: "b", asked: exactly("a", "b") });
  t.match(health("a"), { failures: 0, wrong: 0, aside: undefined });
  behaviours.a = { fails: new WrongAnswerError("other bytes") };
  t.match(await ask({ kind: "get" }), { by: "b", asked: exactly("a", "b") });
  t.match(health("a"), { failures: 0, wrong: 1, aside: { why: "its answer was wrong: other bytes" } });
  t.same(told, ["the mirror a is put aside: its answer was wrong: other bytes"]);
  t.match(await ask({ kind: "get" }), { by: "b", asked: exactly("b") });
  await clock.pass(10_001);
  t.match(await ask({ kind: "get" }), { by: "b", asked: exactly("a", "b") });
  await clock.pass(10_001);
  t.match(
    await ask({ kind: "get" }),
    { by: "b", asked: exactly("b") },
    "the mirror is put aside for longer the second time",
  );
});

t.test(
  "as named: a dripping mirror is overtaken after the time that the whole answer may take",
  async (t) => {
    const { ask, health } = stage(t, { a: { drips: 50 }, b: { after: 5 } }, MIRRORS);
    t.match(await ask({ kind: "get", whole: 3000 }), { by: "b", asked: exactly("a", "b"), took: 3005 });
    t.match(health("a"), {
      late: 1,
      aside: { why: /^not all came for 300\d ms, and another one was quicker$/ },
    });
    t.match(await ask({ kind: "get", whole: 3000 }), { by: "b", asked: exactly("b") });
  },
);
