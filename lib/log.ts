/** The log of a long-running command: one line an event on stderr, `ISO-TIME LEVEL message`. */

const LEVELS = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof LEVELS)[number];

/** What modules take to report events. Messages never contain keys, PEM files or other secrets. */
export type Log = Record<LogLevel, (message: string) => void>;

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

/** Tells whether `text` names a level, as an option or environment variable may. */
export function isLogLevel(text: string): text is LogLevel {
  return (LEVELS as readonly string[]).includes(text);
}

function writeToStderr(line: string): void {
  process.stderr.write(line);
}

/**
 * Names and error texts come from strangers: a newline in one must not forge a second event, nor an escape sequence
 * reach the terminal.
 */
export function oneLine(message: string): string {
  return message.replace(/\p{Cc}/gu, (character) => {
    if (character === "\n") return "\\n";
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
