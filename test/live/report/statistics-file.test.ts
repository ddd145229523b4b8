/** --stats-file: a regular file is replaced, and anything else is left in its place. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t from "tap";
import { writeStatistics } from "../../../lib/live/report/statistics-file.ts";
import { exactly } from "../../support/exactly.ts";
import { temporaryDirectory } from "../../support/icfs.ts";

const release = {
  release: 3,
  header: "01".repeat(32),
};
const statistics = { hits: 1, diskHits: 2, misses: 3 } as Parameters<typeof writeStatistics>[2];

t.test("a regular file is replaced, and a pipe is written to", async (t) => {
  const directory = await temporaryDirectory(t);
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const log = { debug: () => {}, info: () => {}, warn, error: warn };
  const file = join(directory, "file");
  for (let i = 0; i < 2; i++) writeStatistics(file, release, statistics, log);
  t.match(JSON.parse(readFileSync(file, "utf8")), { release: 3, cacheHits: 3, cacheMisses: 3 });

  const umask = process.umask(0);
  writeStatistics(file, release, statistics, log);
  process.umask(umask);
  t.equal(lstatSync(file).mode & 0o777, 0o644);

  const pipe = join(directory, "pipe");
  execFileSync("mkfifo", [pipe]);
  writeStatistics(pipe, release, statistics, log);
  t.match(
    warnings,
    exactly(/^cannot write the statistics: ENXIO/),
    "a pipe without a reader is reported, and not waited for",
  );
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  writeStatistics(pipe, release, statistics, log);
  const bytes = Buffer.alloc(1000);
  t.match(JSON.parse(bytes.toString("utf8", 0, readSync(reader, bytes))), { release: 3 });
  const open = readdirSync("/proc/self/fd").length;
  while (warnings.length === 1) writeStatistics(pipe, release, statistics, log);
  t.match(warnings[1], /^cannot write the statistics: EAGAIN/, "it is full");
  t.equal(readdirSync("/proc/self/fd").length, open, "no file is left open");
  closeSync(reader);
  t.ok(lstatSync(pipe).isFIFO(), "the pipe is still a pipe");
  t.same(readdirSync(directory).sort(), ["file", "pipe"]);
  t.equal(warnings.length, 2);
});

t.test("a symlink that somebody else has put beside the file is not followed", async (t) => {
  const directory = await temporaryDirectory(t);
  const victim = join(directory, "victim");
  writeFileSync(victim, "mine");
  const file = join(directory, "file");
  symlinkSync(victim, `${file}.new`);
  const log = { debug: () => {}, info: () => {}, warn: t.fail, error: t.fail };
  writeStatistics(file, release, statistics, log);
  t.equal(readFileSync(victim, "utf8"), "mine");
  t.match(JSON.parse(readFileSync(file, "utf8")), { release: 3 });
  t.same(readdirSync(directory).sort(), ["file", "file.new", "victim"]);
});
