/** When no boot is under way, by a clock of the test's own. */
import t from "tap";
import { type Clock, Quiet } from "../../lib/live/quiet.ts";

const LENGTH = 30;
const LONGEST = 600;

class TestClock implements Clock {
  #now = 1000;
  #sleeper: { readonly until: number; wake(): void } | undefined;

  now(): number {
    return this.#now;
  }

  sleep(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#sleeper = { until: this.#now + milliseconds, wake: resolve };
    return promise;
  }

  async advance(milliseconds: number): Promise<void> {
    for (let i = 0; i < milliseconds; i++) {
      this.#now += 1;
      if (this.#sleeper !== undefined && this.#now >= this.#sleeper.until) this.#sleeper.wake();
      await new Promise(setImmediate);
    }
  }
}

/** The result, so far, of a wait that begins now. */
function waiting(quiet: Quiet, clock: Clock) {
  const found: { result?: { quiet: boolean; waited: number } } = {};
  void quiet.wait(clock.now(), new AbortController().signal).then((result) => {
    found.result = result;
  });
  return found;
}

function start(length = LENGTH) {
  const clock = new TestClock();
  return { clock, quiet: new Quiet(length, LONGEST, clock) };
}

t.test("there is no wait when no file has been opened", async (t) => {
  const { clock, quiet } = start();
  const wait = waiting(quiet, clock);
  await clock.advance(1);
  t.same(wait.result, { quiet: true, waited: 0 });
});

t.test("open files and recently closed files prolong the wait", async (t) => {
  const { clock, quiet } = start();
  quiet.opened();
  const wait = waiting(quiet, clock);
  await clock.advance(5 * LENGTH);
  quiet.opened();
  await clock.advance(LENGTH);
  quiet.closed();
  await clock.advance(3 * LENGTH);
  t.equal(wait.result, undefined, "one of two files is still open");
  quiet.closed();
  await clock.advance(LENGTH - 1);
  t.equal(wait.result, undefined);
  quiet.opened();
  quiet.closed();
  await clock.advance(LENGTH - 1);
  t.equal(wait.result, undefined, "the next file of the same boot prolongs the wait");
  await clock.advance(1);
  t.match(wait.result, { quiet: true });
});

t.test("a name that was looked up may be about to be opened", async (t) => {
  const { clock, quiet } = start();
  quiet.lookedUp();
  t.equal(quiet.isQuiet, false);
  const wait = waiting(quiet, clock);
  await clock.advance(5);
  t.equal(wait.result, undefined);
  await clock.advance(100);
  t.match(wait.result, { quiet: true });
  t.equal(quiet.isQuiet, true);
  const always = start(0);
  always.quiet.lookedUp();
  t.equal(always.quiet.isQuiet, true);
});

t.test("the wait is limited, counted from its beginning", async (t) => {
  const { clock, quiet } = start();
  quiet.opened();
  const wait = waiting(quiet, clock);
  await clock.advance(LONGEST - 1);
  t.equal(wait.result, undefined);
  await clock.advance(1);
  t.same(wait.result, { quiet: false, waited: LONGEST });
});

t.test("with a quiet period of zero there is no wait, even if files are open", async (t) => {
  const { clock, quiet } = start(0);
  quiet.opened();
  const wait = waiting(quiet, clock);
  await clock.advance(1);
  t.same(wait.result, { quiet: true, waited: 0 });
});
