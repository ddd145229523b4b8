import t from "tap";
import { createLog, isLogLevel, type LogLevel } from "../../lib/log.ts";

function written(level: LogLevel, work: (log: ReturnType<typeof createLog>) => void): string[] {
  const lines: string[] = [];
  work(createLog(level, (line) => lines.push(line)));
  return lines;
}

t.test("one line an event, with the time and the level", async (t) => {
  const [line] = written("info", (log) => log.warn("hello"));
  t.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn hello\n$/);
});

t.test("levels", async (t) => {
  const all = (log: ReturnType<typeof createLog>) => {
    for (const level of ["debug", "info", "warn", "error"] as const) log[level]("x");
  };
  t.equal(written("debug", all).length, 4);
  t.equal(written("info", all).length, 3);
  t.equal(written("error", all).length, 1);
  t.equal(isLogLevel("warn"), true);
  t.equal(isLogLevel("loud"), false);
});

t.test("a message cannot forge a line or reach the terminal", async (t) => {
  const [line] = written("info", (log) => log.info("a\nb\u001b[31m\r\u0085"));
  t.match(line, / info a\\nb\\x1b\[31m\\x0d\\x85\n$/);
});
