/** Mirrors are asked in the order in which they are named. The clock is the test's own. */
import t from "tap";
import type { GatewaysOptions } from "../../../lib/ic/gateway/gateways.ts";
import { NotHereError, WrongAnswerError } from "../../../lib/ic/gateway/question.ts";
import { Urgency } from "../../../lib/urgency.ts";
import { exactly } from "../../support/exactly.ts";
import { LIMIT, stage } from "./stage.ts";

const MIRRORS: GatewaysOptions = { first: "as named", called: "mirror" };

t.test("the first is asked while it answers, however quick the others are", async (t) => {
  const { ask, clock } = stage(t, { a: { after: 150 }, b: { after: 1 } }, MIRRORS);
  for (let i = 0; i < 3; i++) t.match(await ask({ kind: "get" }), { by: "a", asked: exactly("a") });
  clock.jump(120_000);
  t.match(
    await ask({ kind: "get" }),
    { by: "a", asked: exactly("a") },
    "no other mirror is tried out beside the first",
  );
});

t.test("a late mirror is overtaken by the next, and later asked first again", async (t) => {
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

t.test("a slow second mirror is not asked each time that the first is late", async (t) => {
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

t.test("readers do not keep waiting for a silent mirror when the next answers at once", async (t) => {
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
});

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

t.test("a dripping mirror is overtaken after the time that the whole answer may take", async (t) => {
  const { ask, health } = stage(t, { a: { drips: 50 }, b: { after: 5 } }, MIRRORS);
  t.match(await ask({ kind: "get", whole: 3000 }), { by: "b", asked: exactly("a", "b"), took: 3005 });
  t.match(health("a"), {
    late: 1,
    aside: { why: /^not all came for 300\d ms, and another one was quicker$/ },
  });
  t.match(await ask({ kind: "get", whole: 3000 }), { by: "b", asked: exactly("b") });
});
