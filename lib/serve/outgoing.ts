/**
 * Bounds the memory of what is being sent: so many answers have a chunk in hand at a time, whoever else is connected, and the others
 * take turns. While somebody waits, whoever does not read is cut off.
 */

/** A client that takes no piece for so many milliseconds has stalled. The limit shrinks as more clients wait, down to the second one. */
const STALLED_MS = 5000;
const LEAST_STALLED_MS = 1000;
/** A chunk that has not left within this, while others wait: less than 35 KB/s. */
const SLOWEST_MS = 30_000;
/** Milliseconds between two looks, while somebody waits. */
const LOOK_MS = 500;

/** An answer that is being sent. */
export interface Sender {
  /** Ends it, where it is. */
  cutOff(): void;
}

export class Outgoing {
  readonly #most: number;
  readonly #now: () => number;
  readonly #holding = new Set<Turn>();
  readonly #waiting = new Set<Turn>();
  #timer: NodeJS.Timeout | undefined;
  /** Who was cut off, so that others could be answered. */
  cutOff = 0;

  /** @param most chunks in hand @param now milliseconds, of any beginning */
  constructor(most: number, now: () => number = () => performance.now()) {
    this.#most = most;
    this.#now = now;
  }

  /** For one answer. To be ended. */
  turnFor(sender: Sender): Turn {
    return new Turn(this, sender);
  }

  /** How many have a chunk in hand. */
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

  /** Makes room for those who wait. Called by a timer. */
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
  /** When it was given, and when something of its chunk has left for the last time. */
  since = 0;
  movedAt = 0;
  go: () => void = () => {};

  constructor(outgoing: Outgoing, sender: Sender) {
    this.#outgoing = outgoing;
    this.sender = sender;
  }

  /** Resolves when a chunk may be taken in hand, in place of the one before; also when the turn was ended meanwhile. */
  take(): Promise<void> {
    return this.#outgoing.take(this);
  }

  /** Whether others are served first, so that nothing is sent to this one for now. */
  get isWaiting(): boolean {
    return this.#outgoing.isWaiting(this);
  }

  /** A piece of the chunk has left. */
  moved(): void {
    this.#outgoing.moved(this);
  }

  end(): void {
    this.#outgoing.letGo(this);
  }
}
