/** The log of a daemon: lines, levels, and how it shortens a thousand equal events. */
import { mock } from "node:test";
import fc from "fast-check";
import t from "tap";
import {
  createLog,
  isLogLevel,
  isUnsafe,
  jsonLine,
  type LogLevel,
  limitRepeats,
  oneLine,
} from "../lib/log.ts";
import { exactly } from "./support/exactly.ts";
import { run } from "./support/icfs.ts";

function written(level: LogLevel, work: (log: ReturnType<typeof createLog>) => void): string[] {
  const lines: string[] = [];
  work(createLog(level, (line) => lines.push(line)));
  return lines;
}

/** Milliseconds, as in lib/log.ts. */
const PERIOD = 60_000;

/** A limited log whose lines can be looked at, without the time. */
function limited() {
  const lines: string[] = [];
  const log = limitRepeats(createLog("debug", (line) => lines.push(line.trim().replace(/^\S+ /, ""))));
  return { lines, log };
}

/** How many events the lines stand for. */
function eventsIn(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + Number(/^\w+ (\d+) more /.exec(line)?.[1] ?? 1), 0);
}

t.test("each event is one line, with the time and the level", async (t) => {
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
  // A terminal that obeys shows this as gpj.exe. Then all characters that change a text's direction (Unicode's Bidi_Control).
  t.equal(oneLine("a\u202eexe.jpg\u202c"), "a\\u{202e}exe.jpg\\u{202c}");
  const turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069";
  for (const one of `${turning}\u2028\u2029`) {
    t.equal(oneLine(`a${one}b`), `a\\u{${one.charCodeAt(0).toString(16)}}b`);
    t.ok(isUnsafe(`a${one}b`));
  }
  // Names in people's languages stay as they are, with their joiners.
  for (const text of ["größe-日本語-🥾", "שלום", "مرحبا", "👩\u200d💻", "نمی\u200cخواهم"]) {
    t.equal(oneLine(text), text);
    t.notOk(isUnsafe(text));
  }
});

t.test("the first three events of a kind are written at once, and the others are counted", async (t) => {
  const { lines, log } = limited();
  for (let i = 1; i <= 60; i++) log.warn(`chunk ${(i * 0x123456789ab).toString(16)}: no answer in ${i} s`);
  t.equal(lines.length, 3);
  t.match(lines[2], /^warn chunk [0-9a-f]+: no answer in 3 s$/);
  log.end();
  t.equal(lines.length, 4);
  t.match(lines[3], /^warn 57 more like this in the last \d+ s: chunk [0-9a-f]+: no answer in 60 s$/);
});

t.test("a different event is written at once, even among a thousand similar ones", async (t) => {
  const { lines, log } = limited();
  t.teardown(() => log.end());
  const same = () => {
    for (let i = 0; i < 1000; i++) log.warn(`chunk ${i}: no answer`);
  };
  same();
  const others = [
    () => log.warn("chunk 5: arrived with other bytes"),
    () => log.error("chunk 5: no answer"),
    () => log.warn("disk cache: cannot be written to"),
  ];
  for (const other of others) {
    const before = lines.length;
    other();
    same();
    t.equal(lines.length, before + 1, lines[before] ?? "nothing");
  }
});

t.test("info and debug are not limited", async (t) => {
  const { lines, log } = limited();
  for (let i = 0; i < 100; i++) {
    log.info("file 1 is read");
    log.debug("file 1 is read");
  }
  log.end();
  t.equal(lines.length, 200);
});

t.test(
  "for any events, the log is bounded, every event counts, and the first of each kind is written",
  async (t) => {
    const event = fc.record({
      level: fc.constantFrom("warn" as const, "error" as const),
      what: fc.constantFrom("cannot read", "cannot write", "no answer from", "it is wrong:"),
      number: fc.nat(),
      times: fc.integer({ min: 1, max: 300 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        const { lines, log } = limited();
        let sum = 0;
        const kinds = new Set<string>();
        for (const { level, what, number, times } of events) {
          const isNew = !kinds.has(`${level} ${what}`);
          kinds.add(`${level} ${what}`);
          const before = lines.length;
          for (let i = 0; i < times; i++) log[level](`${what} ${number + i}`);
          sum += times;
          if (isNew) t.equal(lines[before], `${level} ${what} ${number}`);
        }
        log.end();
        t.ok(lines.length <= 4 * kinds.size, `${sum} events make ${lines.length} lines`);
        t.equal(eventsIn(lines), sum);
      }),
    );
  },
);

t.test("the log stays bounded even if a stranger invents kinds of events", async (t) => {
  const { lines, log } = limited();
  const word = (i: number) =>
    i.toString(26).replace(/./g, (digit) => "ghijklmnopqrstuvwxyzGHIJKL"[Number.parseInt(digit, 26)]!);
  for (let i = 0; i < 10_000; i++) log.warn(`rejected: ${word(i)} ${"x".repeat(500)}`);
  t.equal(lines.length, 100 + 3, "a hundred kinds are logged, and all the others count as one kind");
  for (let i = 0; i < 10; i++) log.warn(`rejected: ${word(0)} ${"x".repeat(500)}`);
  t.equal(lines.length, 100 + 3 + 2, "a known kind keeps its own limit");
  log.end();
  t.equal(eventsIn(lines), 10_010);
  t.match(
    lines.find((line) => / of yet other kinds in the last /.test(line)),
    /^warn 9897 more of .{1,250}$/,
  );
});

t.test(
  "the sum is written even if nothing else happens, and then the next event is written at once",
  async (t) => {
    mock.timers.enable({ apis: ["setInterval"] });
    t.teardown(() => mock.timers.reset());
    const { lines, log } = limited();
    t.teardown(() => log.end());
    for (let i = 0; i < 10; i++) log.error("no answer");
    mock.timers.tick(PERIOD);
    t.match(lines.slice(3), exactly(/^error 7 more like this in the last \d+ s: no answer$/));
    log.error("no answer");
    mock.timers.tick(PERIOD);
    t.match(lines.slice(4), exactly(/^error 1 more like this/), "it goes on");
    mock.timers.tick(PERIOD);
    t.equal(lines.length, 5);
    log.error("no answer");
    t.equal(lines[5], "error no answer");
  },
);

t.test("a day of repeated warnings takes one line a minute", async (t) => {
  mock.timers.enable({ apis: ["setInterval"] });
  t.teardown(() => mock.timers.reset());
  const { lines, log } = limited();
  const minutes = 24 * 60;
  for (let minute = 0; minute < minutes; minute++) {
    for (let i = 0; i < 100; i++) log.warn(`chunk ${minute * i}: no answer`);
    mock.timers.tick(PERIOD);
  }
  log.end();
  t.equal(lines.length, 3 + minutes);
  t.equal(eventsIn(lines), 100 * minutes);
});

t.test("a process writes its held-back lines when it ends, and is not kept alive by them", async (t) => {
  const module = new URL("../lib/log.ts", import.meta.url);
  const exit = new URL("../lib/process/exit.ts", import.meta.url);
  for (const [how, code] of [
    ["", 0],
    ["process.exit(3)", 3],
    ["exitProcess(4)", 4],
  ] as const) {
    const script = `
      import { createLog, limitRepeats } from "${module}";
      import { exitProcess } from "${exit}";
      const log = limitRepeats(createLog("info"));
      for (let i = 0; i < 10; i++) log.warn("no answer");
      ${how}`;
    const ended = await run(process.execPath, ["--input-type=module-typescript", "-e", script], {
      env: { PATH: process.env.PATH },
    });
    t.equal(ended.code, code, how);
    const lines = ended.stderr.trim().split("\n");
    t.equal(lines.length, 4, ended.stderr);
    t.match(lines[3], / warn 7 more like this in the last \d+ s: no answer$/);
  }
});

t.test("JSON output is safe on a terminal and keeps its meaning", async (t) => {
  const value = { name: "a\u202eb\u009b2Jc\u2028d\u007f\n\\u202e", list: ["größe", "🥾", 1, null] };
  const line = jsonLine(value);
  t.notOk(isUnsafe(line));
  t.same(JSON.parse(line), value);
  t.match(line, "größe");
});
