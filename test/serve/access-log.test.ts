/** The log of answers over HTTP. test/ledger/http.long.ts logs real answers. */
import { readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { AccessLog } from "../../lib/serve/access-log.ts";
import { exactly } from "../support/exactly.ts";
import { run, temporaryDirectory } from "../support/icfs.ts";

const directory = await temporaryDirectory(t);
const answer = {
  ...{ time: 0, address: "192.168.7.2", method: "GET", status: 200, sent: 5, length: 5, sha256: undefined },
  ...{ canister: "aaaaa-aa", release: 2, header: "ab".repeat(32) },
};

function open(name: string, mostBytes?: number) {
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const log = { debug() {}, info() {}, warn, error: warn };
  const file = join(directory, name);
  return { file, warnings, log: new AccessLog(file, log, mostBytes) };
}

const linesIn = async (file: string) => (await readFile(file, "utf8")).trimEnd().split("\n");

t.test("all lines are written in order, including those that come while it writes", async (t) => {
  const { file, log, warnings } = open("many");
  for (let i = 0; i < 1000; i++) log.add({ ...answer, uri: `/${i}` });
  await log.end();
  log.add({ ...answer, uri: "/last" });
  await log.end();
  const uris = (await linesIn(file)).map((line) => line.split(" ").at(-1));
  t.same(uris, [...Array.from({ length: 1000 }, (_, i) => `/${i}`), "/last"]);
  t.equal((await stat(file)).mode & 0o777, 0o640);
  t.same(warnings, []);
});

t.test("after somebody moves the file away, lines go to a new one", async (t) => {
  const { file, log } = open("rotated");
  log.add({ ...answer, uri: "/1" });
  await log.end();
  await rename(file, `${file}.old`);
  log.add({ ...answer, uri: "/2" });
  await log.end();
  t.equal((await linesIn(file)).length, 1);
});

t.test("the log does not grow for ever", async (t) => {
  const { file, log } = open("bounded", 1000);
  for (let i = 0; i < 100; i++) {
    log.add({ ...answer, uri: `/${i}` });
    await log.end();
  }
  t.ok((await stat(`${file}.1`)).size < 2000);
  t.ok((await stat(file).catch(() => ({ size: 0 }))).size < 1000);
});

t.test("a full disk is reported", async (t) => {
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const log = new AccessLog("/dev/full", { debug() {}, info() {}, warn, error: warn });
  log.add({ ...answer, uri: "/1" });
  await log.end();
  t.match(warnings, exactly(/^what was sent is not logged: \/dev\/full: .*no space left/i));
});

t.test("a disk that hangs is reported, and does not keep the process from ending", async (t) => {
  const { file, log, warnings } = open("fifo");
  await run("mkfifo", [file], { env: process.env });
  log.add({ ...answer, uri: "/1" });
  // No process reads the fifo.
  await log.end(1);
  t.match(warnings, exactly(/fifo takes no more lines$/));
  t.match(await readFile(file, "utf8"), / \/1\n$/, "the pending line is written once the pipe is read");
});

t.test("lines that come faster than they can be written are dropped and counted", async (t) => {
  const { file, log, warnings } = open("flood");
  const long = "x".repeat(8000);
  for (let i = 0; i < 1000; i++) log.add({ ...answer, uri: `/${long}` });
  await log.end();
  const { length } = await linesIn(file);
  t.ok(length < 300, `${length} lines`);
  t.match(warnings, exactly(new RegExp(`it was too slow for ${1000 - length} lines`)));
});
