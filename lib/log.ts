/**
 * The log of a long-running command: one line per event on stderr, `ISO-TIME LEVEL message`. A problem that lasts for a day must
 * not fill the disk, but nothing should be lost: limitRepeats() writes the first warnings and errors of a kind at
 * once, and counts the rest.
 */

const LEVELS = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof LEVELS)[number];

/** The interface for reporting events. Messages never contain keys, PEM files or other secrets. */
export type Log = Record<LogLevel, (message: string) => void>;

/** The number of events of a kind that are written in full, since their differences may matter. */
const FIRST_OF_A_KIND = 3;
/** After that, one line per period, in milliseconds: soon enough for an observer, and 1,440 lines a day. */
const PERIOD_MS = 60_000;
/** Kinds remembered at a time. Texts come from strangers, who could make up any number: all beyond this count as one kind. */
const MOST_KINDS = 100;
/** Characters that distinguish a kind, and of the example in a summary: the first events of a kind were written in full. */
const EXAMPLE_LENGTH = 200;
const OTHERS = Symbol("all kinds that are too many to be told apart");

/**
 * Makes a log that passes on events of `level` and above.
 *
 * @param write receives whole lines, each with its newline
 */
export function createLog(level: LogLevel, write: (line: string) => void = writeToStderr): Log {
  const lowest = LEVELS.indexOf(level);
  const at = (name: LogLevel) => (message: string) => {
    if (LEVELS.indexOf(name) < lowest) return;
    write(`${new Date().toISOString()} ${name} ${oneLine(message)}\n`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** A log that writes a name before each event. */
export function named(log: Log, name: string): Log {
  const at = (level: LogLevel) => (message: string) => log[level](`${name}: ${message}`);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/**
 * A log that passes events on to `log`, but only the first few of repeated warnings and errors; then one
 * line per period says how many more there were. Every event is written or counted, at the end of the process if not
 * before.
 */
export function limitRepeats(log: Log): Log & { end(): void } {
  const warnings = new Repeats(log.warn);
  const errors = new Repeats(log.error);
  const end = () => {
    process.off("exit", end);
    warnings.end();
    errors.end();
  };
  process.on("exit", end);
  return {
    ...log,
    warn: (message) => warnings.add(message),
    error: (message) => errors.add(message),
    end,
  };
}

/** Events of one kind, until none comes for a whole period. */
interface Repeated {
  written: number;
  /** The events that were not written yet, since when (of performance.now()) they are counted, and the last of them. */
  held: number;
  since: number;
  last: string;
  timer: NodeJS.Timeout;
}

class Repeats {
  readonly #write: (message: string) => void;
  readonly #kinds = new Map<string | typeof OTHERS, Repeated>();

  constructor(write: (message: string) => void) {
    this.#write = write;
  }

  add(message: string): void {
    const own = kindOf(message);
    const key = this.#kinds.has(own) || this.#kinds.size < MOST_KINDS ? own : OTHERS;
    const repeated = this.#kinds.get(key) ?? this.#begin(key);
    if (repeated.written < FIRST_OF_A_KIND) {
      repeated.written += 1;
      this.#write(message);
    } else {
      repeated.held += 1;
      repeated.last = message.slice(0, EXAMPLE_LENGTH);
    }
  }

  end(): void {
    for (const [key, repeated] of this.#kinds) {
      if (repeated.held > 0) this.#sumUp(key, repeated);
      clearInterval(repeated.timer);
    }
    this.#kinds.clear();
  }

  #begin(key: string | typeof OTHERS): Repeated {
    const look = () => {
      if (repeated.held > 0) {
        this.#sumUp(key, repeated);
      } else {
        clearInterval(repeated.timer);
        this.#kinds.delete(key);
      }
    };
    // Does not keep the process alive.
    const timer = setInterval(look, PERIOD_MS).unref();
    const repeated: Repeated = { written: 0, held: 0, since: performance.now(), last: "", timer };
    this.#kinds.set(key, repeated);
    return repeated;
  }

  #sumUp(key: string | typeof OTHERS, repeated: Repeated): void {
    const now = performance.now();
    const seconds = Math.ceil((now - repeated.since) / 1000);
    const what = key === OTHERS ? "of yet other kinds" : "like this";
    this.#write(`${repeated.held} more ${what} in the last ${seconds} s: ${repeated.last}`);
    repeated.held = 0;
    repeated.since = now;
  }
}

/** The common part of events that are the same except for their numbers, hashes and times. */
export function kindOf(message: string): string {
  return message.replace(/\b(0x)?[0-9a-f]+\b|\d+/gi, "#").slice(0, EXAMPLE_LENGTH);
}

/** Tells whether `text` names a level, as an option or environment variable may. */
export function isLogLevel(text: string): text is LogLevel {
  return (LEVELS as readonly string[]).includes(text);
}

function writeToStderr(line: string): void {
  process.stderr.write(line);
}

/** Control characters; those that change the direction of text, so that a name reads like another; and Unicode's line separators. */
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u;
const EVERY_UNSAFE = new RegExp(UNSAFE, "gu");

/** Whether a text has characters that a log or terminal would interpret instead of showing them. */
export function isUnsafe(text: string): boolean {
  return UNSAFE.test(text);
}

/** JSON in one line with such characters escaped: the same for a parser, and safe on a terminal. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(
    EVERY_UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * A text in one line, with unsafe characters escaped. Names and error texts come from strangers: a newline must not forge a second event,
 * an escape sequence must not reach the terminal, and text must not appear in another order.
 */
export function oneLine(message: string): string {
  return message.replace(EVERY_UNSAFE, (character) => {
    if (character === "\n") return "\\n";
    const code = character.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`;
  });
}
