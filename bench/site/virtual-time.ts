/**
 * Simulated time for this whole process: timers, pauses, Date and performance.now() follow one clock, which jumps from one event
 * to the next. Simulated code runs unchanged, since these functions replace Node's own. A simulation needs a process of its own,
 * since they are never restored.
 */
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers";
import promises from "node:timers/promises";

/** Node's own functions, for the scheduler. */
const realImmediate = setImmediate;
const realTimeout = setTimeout;

/** How many milliseconds the process may idle while simulated code waits for something real, such as a module being loaded. */
const STUCK_MS = 5000;

type Run = () => void;

interface Event {
  /** Simulated milliseconds since the start. */
  readonly at: number;
  /** Events of the same time happen in the order of their creation. */
  readonly order: number;
  readonly run: Run;
}

/** What setTimeout() returns. */
class VirtualTimer {
  readonly #time: VirtualTime;
  readonly #run: Run;
  readonly #milliseconds: number;
  readonly #repeats: boolean;
  /** Incremented whenever the timer is set or cleared: only the latest event counts. */
  #generation = 0;

  constructor(time: VirtualTime, run: Run, milliseconds: number | undefined, repeats: boolean) {
    this.#time = time;
    this.#run = run;
    // At least a millisecond, as in Node.
    this.#milliseconds = Math.max(1, Number(milliseconds) || 1);
    this.#repeats = repeats;
    this.refresh();
  }

  refresh(): this {
    this.#generation += 1;
    const generation = this.#generation;
    this.#time.at(this.#time.now + this.#milliseconds, () => {
      if (generation !== this.#generation) return;
      if (this.#repeats) this.refresh();
      this.#run();
    });
    return this;
  }

  close(): this {
    this.#generation += 1;
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export class VirtualTime {
  /** Simulated milliseconds since the start. */
  now = 0;
  readonly #epoch = Date.now();
  readonly #events: Event[] = [];
  #immediates: Run[] = [];
  #made = 0;

  /** Replaces Node's clock, for good. */
  install(): void {
    const timer =
      (repeats: boolean) =>
      (run: (...args: unknown[]) => void, milliseconds?: number, ...args: unknown[]) =>
        new VirtualTimer(this, () => run(...args), milliseconds, repeats);
    const clear = (one?: unknown) => {
      if (one instanceof VirtualTimer) one.close();
    };
    const immediate = (run: (...args: unknown[]) => void, ...args: unknown[]) => {
      this.#immediates.push(() => run(...args));
    };
    const all = {
      setTimeout: timer(false),
      setInterval: timer(true),
      setImmediate: immediate,
      clearTimeout: clear,
      clearInterval: clear,
      clearImmediate: () => {},
    };
    Object.assign(timers, all);
    Object.assign(globalThis, all);
    Object.assign(promises, {
      setTimeout: (milliseconds?: number, value?: unknown, options?: { signal?: AbortSignal }) =>
        this.#sleep(milliseconds, value, options?.signal),
      setImmediate: (value?: unknown) => new Promise((resolve) => immediate(resolve, value)),
    });
    performance.now = () => this.now;
    const time = this;
    const RealDate = Date;
    class VirtualDate extends RealDate {
      constructor(...given: []) {
        if (given.length > 0) super(...given);
        else super(VirtualDate.now());
      }
      static override now(): number {
        return time.#epoch + Math.floor(time.now);
      }
      static override [Symbol.hasInstance](value: unknown): boolean {
        return RealDate[Symbol.hasInstance](value);
      }
    }
    globalThis.Date = VirtualDate as DateConstructor;
    syncBuiltinESMExports();
  }

  /** Schedules an event; immediately if its time is past. */
  at(time: number, run: Run): void {
    this.#made += 1;
    this.#push({ at: Math.max(time, this.now), order: this.#made, run });
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.at(this.now + milliseconds, resolve));
  }

  /**
   * Lets time pass until there is a result.
   *
   * @param patient whether to wait a real moment after each event, for code that reads and writes files or loads modules
   * @throws errors of `work`; Error when it waits for something that never happens
   */
  async until<T>(work: Promise<T>, patient = false): Promise<T> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    work.then(over, over);
    let idle = 0;
    for (;;) {
      // By then everything that needs no time has happened: promises, and Node's next ticks.
      await new Promise((resolve) => (patient ? realTimeout(resolve, 1) : realImmediate(resolve)));
      if (isOver) return work;
      const immediates = this.#immediates;
      if (immediates.length > 0) {
        this.#immediates = [];
        for (const run of immediates) run();
        continue;
      }
      const event = this.#pop();
      if (event === undefined) {
        idle += 1;
        if (idle > STUCK_MS) throw new Error("the simulation waits for something that does not come");
        await new Promise((resolve) => realTimeout(resolve, 1));
        continue;
      }
      idle = 0;
      this.now = event.at;
      event.run();
    }
  }

  #sleep(milliseconds: number | undefined, value: unknown, signal: AbortSignal | undefined) {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const end = () => {
      timer.close();
      reject(signal!.reason);
    };
    const timer = new VirtualTimer(
      this,
      () => {
        signal?.removeEventListener("abort", end);
        resolve(value);
      },
      milliseconds,
      false,
    );
    signal?.addEventListener("abort", end, { once: true });
    return promise;
  }

  /** A binary heap: the earliest event is at 0. */
  #push(event: Event): void {
    const heap = this.#events;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#events;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below += 1;
      if (!isBefore(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** Replaces Math.random() with numbers that are the same in each run (mulberry32). */
export function installRandom(seed: number): void {
  let state = seed;
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
