/**
 * The log of a long-running command: one line an event on stderr, `ISO-TIME LEVEL message`. What goes wrong for a day must
 * not fill the disk, and yet nothing is to be lost: limitRepeats() has the first warnings and errors of a kind written at
 * once, and those that follow counted.
 */

const LEVELS = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof LEVELS)[number];

/** What modules take to report events. Messages never contain keys, PEM files or other secrets. */
export type Log = Record<LogLevel, (message: string) => void>;

/** So many of a kind are written as they are: what differs between them may matter. */
const FIRST_OF_A_KIND = 3;
/** Then there is a line for each of these, in milliseconds: soon enough for whoever watches, and 1,440 lines a day. */
const PERIOD_MS = 60_000;
/** Remembered at a time. Texts come from strangers, who could make up one after another: all beyond count as one kind. */
const MOST_KINDS = 100;
/** Characters of a kind, and of the example in a sum: the first of a kind were written in full. */
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

/**
 * A log that passes events on to `log`, but of warnings and errors that are the same again only the first few; then one
 * line a period says how many more there were. Each is a line of its own or counted in one: when the process ends, at the
 * latest.
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

/** Events of one kind, until there is none for a period. */
interface Repeated {
  written: number;
  /** Those that were not written yet, since when (of performance.now()) they are counted, and the last of them. */
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
    // Does not keep a process that has nothing else to do.
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

/** What events have in common that are the same but for their numbers, hashes and times. */
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

/** Control characters; what turns the direction of a text, so that a name reads as another one; and Unicode's own line ends. */
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u;
const EVERY_UNSAFE = new RegExp(UNSAFE, "gu");

/** Whether a text has characters that would do something else in a log or terminal than to be shown. */
export function isUnsafe(text: string): boolean {
  return UNSAFE.test(text);
}

/** JSON in one line, in which such characters are escapes: the same for who parses it, and safe on a terminal. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(
    EVERY_UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Names and error texts come from strangers: a newline in one must not forge a second event, an escape sequence must not reach the
 * terminal, and nothing may be read in another order than it has.
 */
export function oneLine(message: string): string {
  return message.replace(EVERY_UNSAFE, (character) => {
    if (character === "\n") return "\\n";
    const code = character.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`;
  });
}
