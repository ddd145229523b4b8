/**
 * Bounds the memory for sending: only so many answers hold a chunk at a time, however many clients are connected, and the others
 * take turns. While others wait, clients that do not read are cut off.
 */

/** A client that takes no piece for so many milliseconds has stalled. The limit shrinks as more clients wait, down to the second one. */
const STALLED_MS = 5000;
const LEAST_STALLED_MS = 1000;
/** The limit for sending a chunk while others wait. It cuts off clients below 35 KB/s. */
const SLOWEST_MS = 30_000;
/** Milliseconds between two checks while others wait. */
const LOOK_MS = 500;

/** An answer that is being sent. */
export interface Sender {
  /** Ends the answer wherever it is. */
  cutOff(): void;
}

export class Outgoing {
  readonly #most: number;
  readonly #now: () => number;
  readonly #holding = new Set<Turn>();
  readonly #waiting = new Set<Turn>();
  #timer: NodeJS.Timeout | undefined;
  /** How many answers were cut off to make room for others. */
  cutOff = 0;

  /** @param most chunks in memory at a time @param now milliseconds from any origin */
  constructor(most: number, now: () => number = () => performance.now()) {
    this.#most = most;
    this.#now = now;
  }

  /** A turn for one answer. End it with end(). */
  turnFor(sender: Sender): Turn {
    return new Turn(this, sender);
  }

  /** How many answers hold a chunk. */
  get holding(): number {
    return this.#holding.size;
  }

  /** @internal */
  isWaiting(turn: Turn): boolean {
    return this.#waiting.has(turn);
  }

  /** @internal */
  async take(turn: Turn): Promise<void> {
    this.letGo(turn);
    if (this.#holding.size < this.#most) {
      this.#hold(turn);
      return;
    }
    this.#waiting.add(turn);
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
    await new Promise<void>((resolve) => {
      turn.go = resolve;
    });
  }

  /** @internal */
  letGo(turn: Turn): void {
    if (this.#waiting.delete(turn)) turn.go();
    if (!this.#holding.delete(turn)) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    this.#hold(next);
    next.go();
  }

  #hold(turn: Turn): void {
    turn.since = turn.movedAt = this.#now();
    this.#holding.add(turn);
  }

  /** @internal */
  moved(turn: Turn): void {
    turn.movedAt = this.#now();
  }

  /** Makes room for waiting answers. Called by a timer. */
  look(): void {
    if (this.#waiting.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const now = this.#now();
    const stalled = Math.max(LEAST_STALLED_MS, STALLED_MS * Math.min(1, this.#most / this.#waiting.size));
    for (const turn of this.#holding) {
      if (now - turn.movedAt < stalled && now - turn.since < SLOWEST_MS) continue;
      this.cutOff += 1;
      turn.sender.cutOff();
      this.letGo(turn);
    }
  }
}

export class Turn {
  readonly #outgoing: Outgoing;
  readonly sender: Sender;
  /** When the turn was granted, and when a piece of its chunk was last sent. */
  since = 0;
  movedAt = 0;
  go: () => void = () => {};

  constructor(outgoing: Outgoing, sender: Sender) {
    this.#outgoing = outgoing;
    this.sender = sender;
  }

  /** Resolves when the answer may hold a chunk, which replaces its previous one; also when the turn was ended in the meantime. */
  take(): Promise<void> {
    return this.#outgoing.take(this);
  }

  /** Whether this answer is waiting for others, so that nothing is sent. */
  get isWaiting(): boolean {
    return this.#outgoing.isWaiting(this);
  }

  /** A piece of the chunk was sent. */
  moved(): void {
    this.#outgoing.moved(this);
  }

  end(): void {
    this.#outgoing.letGo(this);
  }
}
