/** How long a publication waits before it tries again. */
import t from "tap";
import { HttpStatusError, NoAnswerError, NoWayError } from "../../lib/ic/call-errors.ts";
import { askedAgain, patiently } from "../../lib/publish/patience.ts";
import { fewAttempts } from "../../lib/source/few-attempts.ts";
import { stopClock } from "../support/clock.ts";

/** Fails once for each of the errors, and then answers. */
function failing(...errors: Error[]) {
  const call = async () => {
    const error = errors[call.made++];
    if (error !== undefined) throw error;
    return "an answer";
  };
  call.made = 0;
  return call;
}

t.test("a gateway that asks for a pause is not asked again before the pause is over", async (t) => {
  const clock = stopClock(t);
  const call = failing(new HttpStatusError(429, "Too Many Requests", 60_000));
  const answer = patiently(call);
  await clock.pass(59_999);
  t.equal(call.made, 1, "the gateway is not asked during the pause");
  await clock.pass(30_001);
  t.equal(await answer, "an answer");
});

t.test("a gateway that asks for no pause is asked again within a second", async (t) => {
  const clock = stopClock(t);
  const call = failing(new HttpStatusError(503, "Busy"));
  const answer = patiently(call);
  await clock.pass(1000);
  t.equal(await answer, "an answer");
});

t.test("a gateway that keeps failing is given up, unless there is reason to go on", async (t) => {
  const clock = stopClock(t);
  const busy = Array.from({ length: 20 }, () => new HttpStatusError(503, "Busy"));
  const refused = t.rejects(patiently(failing(...busy)), { message: /Busy/ });
  const answer = patiently(failing(...busy), { goOn: () => true });
  await clock.pass(300_000);
  await refused;
  t.equal(await answer, "an answer");
});

t.test("fewer attempts are made when each takes as long as it may", async (t) => {
  const clock = stopClock(t);
  const { now } = performance;
  let spent = 0;
  t.intercept(performance, "now", { value: () => now.call(performance) + spent });
  /** Each call fails after so many seconds. @returns how often it was called */
  const slow = (seconds: number) => {
    const call = async () => {
      call.made += 1;
      spent += seconds * 1000;
      throw new NoAnswerError("a trickle");
    };
    call.made = 0;
    return call;
  };
  const question = slow(30);
  const asked = t.rejects(askedAgain(question), { message: "a trickle" });
  await clock.pass(2000);
  await asked;
  t.equal(question.made, 2);
  const upload = slow(120);
  const called = t.rejects(patiently(upload), { message: "a trickle" });
  await clock.pass(5000);
  await called;
  t.equal(upload.made, 3);
  const others = slow(120);
  const goesOn = t.rejects(patiently(others, { goOn: () => others.made < 6 }), { message: "a trickle" });
  await clock.pass(40_000);
  await goesOn;
  t.equal(others.made, 6, "attempts continue while other calls get through");
});

t.test("a call that cannot succeed is not repeated", async (t) => {
  for (const error of [new NoWayError("self-signed certificate"), new HttpStatusError(407, "no login")]) {
    for (const ask of [patiently, askedAgain, fewAttempts]) {
      const call = failing(error);
      await t.rejects(ask(call), error);
      t.equal(call.made, 1);
    }
  }
});
