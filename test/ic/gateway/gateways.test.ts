/** Which gateway is asked, when another one is asked as well, and for how long one is put aside. The clock is the test's own. */
import t from "tap";
import { NoAnswerError, NoWayError } from "../../../lib/ic/call-errors.ts";
import { gatewaysOf } from "../../../lib/ic/gateway/gateways.ts";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import { exactly } from "../../support/exactly.ts";
import { LIMIT, stage } from "./stage.ts";

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
  clock.jump(60_001);
  t.match(
    await ask(),
    { by: "c", asked: exactly("b", "a", "c"), took: 40 },
    "the other gateways are measured again after a minute",
  );
  behaviours.c = { after: 5 };
  clock.jump(60_001);
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
  clock.jump(1000);
  t.match(
    await ask(),
    { by: "b", asked: exactly("b") },
    "the late gateway now counts as slower, and is not asked first",
  );
  behaviours.a = { after: 1 };
  clock.jump(61_000);
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
    clock.jump(1000 * seconds - 60);
    t.match(await ask(), { by: "b", asked: exactly("b") }, `put aside for ${seconds} s`);
    clock.jump(60);
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
  clock.jump(19_900);
  t.match(await ask(), { by: "b", asked: exactly("b") });
  behaviours.b = { fails: "gone" };
  t.match(
    await ask(),
    { by: "a", status: 429, asked: exactly("b", "a") },
    "a limiting gateway is asked when no other is left",
  );
  behaviours.b = { after: 10, status: 503 };
  behaviours.a = { after: 1 };
  clock.jump(20_000);
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
    clock.jump(1000 * pause - 50);
    const { asked } = await ask();
    t.notOk(asked.includes("a"), `put aside for ${pause} s`);
    clock.jump(61);
    pause = Math.min(2 * pause, 600);
    if (times === 1) {
      // The gateway that was wrong comes after one that fails, and after one that limits its clients.
      gateways.wrong("a", "again");
      behaviours.b = { fails: "gone" };
      behaviours.c = { after: 1, status: 429, headers: { "retry-after": "1" } };
      t.match(await ask(), { by: "a", asked: exactly("b", "c", "a") });
      behaviours.b = { after: 10 };
      behaviours.c = { after: 20 };
      clock.jump(1000 * pause);
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
