/** How long what publishes waits before it asks again. */
import t from "tap";
import { HttpStatusError } from "../../lib/ic/call-errors.ts";
import { patiently } from "../../lib/publish/patience.ts";
import { stopClock } from "../support/clock.ts";

/** Fails as often as there are errors, and then answers. */
function failing(...errors: Error[]) {
  const call = async () => {
    const error = errors[call.made++];
    if (error !== undefined) throw error;
    return "an answer";
  };
  call.made = 0;
  return call;
}

t.test("a gateway that asks to be left alone for a while is", async (t) => {
  const clock = stopClock(t);
  const call = failing(new HttpStatusError(429, "Too Many Requests", 60_000));
  const answer = patiently(call);
  await clock.pass(59_999);
  t.equal(call.made, 1, "not asked before that");
  await clock.pass(30_001);
  t.equal(await answer, "an answer");
});

t.test("one that does not is asked again within a second", async (t) => {
  const clock = stopClock(t);
  const call = failing(new HttpStatusError(503, "Busy"));
  const answer = patiently(call);
  await clock.pass(1000);
  t.equal(await answer, "an answer");
});

t.test("who never answers is given up, unless there is reason to go on", async (t) => {
  const clock = stopClock(t);
  const busy = Array.from({ length: 20 }, () => new HttpStatusError(503, "Busy"));
  const refused = t.rejects(patiently(failing(...busy)), { message: /Busy/ });
  const answer = patiently(failing(...busy), { goOn: () => true });
  await clock.pass(300_000);
  await refused;
  t.equal(await answer, "an answer");
});
