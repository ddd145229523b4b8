/** The boot ledger: its lines, its chain, its boots. In test/boot/ledger.long.ts, dnsmasq writes it. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import t, { type Test } from "tap";
import { type Boot, bootsOf, GAP_MS, inOrderOfTime, MOST_TRANSFERS } from "../../lib/ledger/boots.ts";
import { type Entry, openLedger, readLedger } from "../../lib/ledger/ledger.ts";
import { parseLine, parseMac, plainAddress, type Transfer } from "../../lib/ledger/line.ts";
import { exactly } from "../support/exactly.ts";
import { run, temporaryDirectory } from "../support/icfs.ts";
import { at, body, CANISTER, chained, type Fields, HEADER, MAC, ORIGIN, sha256 } from "./lines.ts";

const PEN = join(import.meta.dirname, "../../packaging/dnsmasq-ledger");
const directory = await temporaryDirectory(t);
let made = 0;

/** Makes a directory with logs, by their names, oldest first. @returns the log's path */
async function logs(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  made += 1;
  const to = join(directory, String(made));
  await mkdir(to);
  for (const [name, content] of Object.entries(files)) await writeFile(join(to, name), content);
  return join(to, "log");
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function entriesOf(log: string): Promise<Entry[]> {
  await using ledger = await openLedger(log);
  return await all(readLedger(ledger));
}

/** The problems of a log, with their lines. */
async function problemsOf(log: string): Promise<string[]> {
  return (await entriesOf(log))
    .filter(({ problem }) => problem !== "")
    .map(({ number, problem }) => `${number}: ${problem}`);
}

t.test("a line is parsed", async (t) => {
  const previous = "ef".repeat(32);
  t.same(parseLine(`${body({ file: "/srv/a%20b/%C3%A9", mac: MAC })} ${previous}`), {
    transfer: {
      via: "tftp",
      time: "2026-11-30T07:00:00Z",
      address: "192.168.7.2",
      mac: MAC,
      file: "/srv/a b/é",
      size: 42430,
      origin: {
        canister: CANISTER,
        release: 2,
        header: HEADER,
        sha256: "cd".repeat(32),
        path: "pxelinux.0",
      },
    },
    previous,
  });
  t.match(parseLine(`${body({ mac: "-", address: "fd69::2", origin: "- - - - -" })} -`), {
    transfer: { mac: undefined, address: "fd69::2", origin: undefined },
    previous: undefined,
  });
  const snapshot = `${CANISTER} - ${HEADER} - a`;
  t.match(parseLine(`${body({ origin: snapshot })} -`).transfer.origin, {
    release: undefined,
    sha256: undefined,
  });
  t.equal(parseLine(`${body({ file: "/srv/%ff" })} -`).transfer.file, "/srv/%ff", "a name that is not UTF-8");
  t.equal(parseLine(`${body({ file: "%2f%73%72%76%2f%20%25%ff" })} -`).transfer.file, "/srv/ %25%ff");
});

t.test("hostile lines are refused", async (t) => {
  const lines = [
    "",
    " ",
    "x".repeat(30_000),
    " ".repeat(30_000),
    body(),
    `${body()} - -`,
    `${body()} ${"ef".repeat(31)}`,
    ...[
      { time: "yesterday" },
      { time: "2026-13-41T07:00:00Z" },
      { address: "host" },
      { mac: "52:54" },
      { mac: "52:54:00:69:63:6A" },
      { size: "-1" },
      { size: "1e9" },
      { size: "9".repeat(20) },
      { size: "" },
      { origin: ORIGIN.replace(HEADER, "ab") },
      { origin: ORIGIN.replace(" 2 ", " two ") },
      { origin: ORIGIN.replace(CANISTER, "../x") },
    ].map((fields) => `${body(fields)} -`),
  ];
  for (const line of lines) t.throws(() => parseLine(line), { name: "FormatError" }, line.slice(0, 200));
  t.equal(parseMac("52-54-00-69-63-6A"), "52:54:00:69:63:6a");
  t.equal(parseMac("52:54:00:69:63"), undefined);
  t.equal(parseMac("5254.0069.636A"), "52:54:00:69:63:6a");
  t.equal(parseMac("52540069636a"), "52:54:00:69:63:6a");
  for (const [form, plain] of [
    ["FD69:0::02", "fd69::2"],
    ["::ffff:192.168.7.2", "192.168.7.2"],
    ["192.168.7.2", "192.168.7.2"],
    ["fe80::1%eth0", "fe80::1%eth0"],
  ] as const)
    t.equal(plainAddress(form), plain);
});

t.test("the chain shows changed, missing, added and exchanged lines", async (t) => {
  const lines = chained([0, 1, 2, 3, 4].map((i) => body({ time: at(i) })));
  const whole = lines.join("");
  t.same(await problemsOf(await logs({ log: whole })), []);
  t.equal((await entriesOf(await logs({ log: whole }))).at(-1)!.sha256, sha256(lines[4]!));
  const after = "the line before it is not the one that it was written after";
  const cases: [what: string, text: string, problems: string[]][] = [
    ["a line was changed", whole.replace(at(1), at(9)), [`3: ${after}`]],
    ["one was taken out", lines.toSpliced(2, 1).join(""), [`3: ${after}`]],
    ["one was put in", lines.toSpliced(2, 0, lines[0]!).join(""), [`3: ${after}`, `4: ${after}`]],
    [
      "two were exchanged",
      [0, 2, 1, 3, 4].map((i) => lines[i]).join(""),
      [2, 3, 4].map((i) => `${i}: ${after}`),
    ],
    ["the last one was cut off", whole.slice(0, -10), ["5: it has no end"]],
    ["it begins again", whole + chained([body({ time: at(9) })]).join(""), [`6: ${after}`]],
  ];
  for (const [what, text, problems] of cases)
    t.same(await problemsOf(await logs({ log: text })), problems, what);
  const damaged = await problemsOf(await logs({ log: whole.replace(`${at(1)} `, "") }));
  t.match(damaged, exactly(/^2: it is not a line of the ledger: it does not have 11 fields/, `3: ${after}`));
  const long = await problemsOf(await logs({ log: `${lines[0]}${"x".repeat(1_000_000)}\n${lines[1]}` }));
  t.same(long, ["2: it is longer than 32768 bytes", `3: ${after}`]);
  t.equal(
    (await problemsOf(await logs({ log: Buffer.alloc(100_000) }))).length,
    1,
    "a log without a line end has one problem",
  );
});

t.test("rotated logs form one chain with the current log", async (t) => {
  const lines = chained([0, 1, 2, 3].map((i) => body({ time: at(i) })));
  const log = await logs({
    "log.2.gz": gzipSync(lines[0]! + lines[1]!),
    "log.1": lines[2]!,
    log: lines[3]!,
    logs: "x",
  });
  t.same(await problemsOf(log), []);
  t.same(
    (await entriesOf(log)).map(({ transfer }) => transfer?.time),
    [0, 1, 2, 3].map(at),
  );
  t.same(
    await problemsOf(await logs({ log: lines.slice(2).join("") })),
    [],
    "the oldest lines may be missing",
  );
  t.match(
    await problemsOf(await logs({ "log-20261101": lines[0]!, log: lines[2]! })),
    exactly(/^1: the line before/),
  );
  await t.rejects(openLedger(join(directory, "none")), { name: "UserError", message: /no boot ledger/ });
  await t.rejects(entriesOf(await logs({ "log.1.gz": "no gzip", log: "" })), {
    name: "UserError",
    message: /log.1.gz cannot be read/,
  });
});

t.test("rotated logs are found by their names, and copies beside them are ignored", async (t) => {
  const lines = chained([0, 1, 2].map((i) => body({ time: at(i) })));
  const [first, second, third] = lines as [string, string, string];
  const copies = { "log.bak": first, "log.1.orig": first, "log-notes": "x", "log~": first };
  for (const names of [
    ["log.1", "log.10.gz"],
    ["log-20261108", "log-20261101.gz"],
    ["log-2026-11-08", "log-2026-11-01.gz"],
    ["log.20261108", "log.20261101.gz"],
  ] as const) {
    // The newest is written first, as if it were the oldest.
    const log = await logs({ ...copies, log: third, [names[0]]: second, [names[1]]: gzipSync(first) });
    t.same(await problemsOf(log), [], names[0]);
    t.equal((await entriesOf(join(dirname(log), ".", "log"))).length, 3);
    t.same(await problemsOf(`${dirname(log)}/./log`), [], "by another name");
  }
  await t.rejects(openLedger(await logs({ log: first, "log.1.xz": "x" })), {
    name: "UserError",
    message: /log\.1\.xz is not packed by gzip/,
  });
});

t.test("the script writes a valid chain, across a rotation too", async (t) => {
  const log = await logs({});
  const file = join(directory, "a file, é");
  await writeFile(file, "12345");
  const env = { ...process.env, ICFS_BOOT_LOG: log, ICFS_LEASES: join(directory, "leases") };
  await writeFile(join(directory, "leases"), `1790000000 ${MAC} 127.9.9.9 * *\n`);
  const pen = (...args: string[]) => run(PEN, args, { env });
  for (const args of [["add", MAC, "127.9.9.9"], ["tftp"], []]) {
    t.same(await pen(...args), { code: 0, stdout: "", stderr: "" }, args.join(" "));
  }
  await Promise.all([1, 2, 3, 4].map(() => pen("tftp", "5", "127.9.9.9", file)));
  const [first] = await entriesOf(log);
  t.match(first, {
    transfer: { address: "127.9.9.9", mac: MAC, file, size: 5, origin: undefined },
    problem: "",
  });
  // Rotates as logrotate does.
  await run("sh", ["-c", `mv ${log} ${log}.1 && gzip ${log}.1 && : >${log}`], { env });
  await pen("tftp", "5", "127.9.9.8", file);
  await pen("tftp", "5", "127.9.9.8", "/srv/tftp/x");
  t.same(await problemsOf(log), []);
  t.equal((await entriesOf(log)).length, 6);
  t.match((await entriesOf(log))[5], { transfer: { file: "/srv/tftp/x", mac: undefined } });
  const nowhere = await run(PEN, ["tftp", "5", "127.9.9.8", file], {
    env: { ...env, ICFS_BOOT_LOG: join(directory, "none/log") },
  });
  t.not(nowhere.code, 0);
  t.match(nowhere.stderr, "none/log");
});

t.test("the script continues after a truncated line, and reports a missing getfattr", async (t) => {
  const lines = chained([0, 1].map((i) => body({ time: at(i) })));
  const log = await logs({ log: `${lines[0]}${lines[1]!.slice(0, 50)}` });
  const env = { ...process.env, ICFS_BOOT_LOG: log, ICFS_LEASES: "/dev/null" };
  const args = ["tftp", "5", "127.9.9.9", "/srv/tftp/x"];
  t.same(await run(PEN, args, { env }), { code: 0, stdout: "", stderr: "" });
  t.match(await problemsOf(log), exactly(/^2: it is not a line of the ledger/));
  t.equal((await entriesOf(log)).length, 3, "the line after the truncated one is intact");
  await writeFile(log, "");
  await writeFile(`${log}.1`, `${lines[0]}${lines[1]!.slice(0, 50)}`);
  await writeFile(`${log}.bak`, "a copy\n");
  for (let i = 0; i < 2; i++) t.match(await run(PEN, args, { env }), { code: 0 });
  t.same(await problemsOf(log), ["2: it has no end"], "a truncated line was rotated");
  t.equal((await entriesOf(log)).length, 4);

  const tools = join(dirname(log), "tools");
  const pen = join(dirname(log), "pen");
  await mkdir(tools);
  const needed = "date flock gzip head ls sha256sum tail";
  await run("sh", ["-c", `for tool in ${needed}; do ln -s $(command -v $tool) ${tools}/; done`], { env });
  await writeFile(pen, (await readFile(PEN, "utf8")).replace(/^PATH=.*$/m, `PATH=${tools}`), { mode: 0o755 });
  const said = { code: 0, stdout: "", stderr: /there is no getfattr \(apt install attr\)/ };
  await writeFile(log, "");
  t.match(await run(pen, args, { env }), said);
  t.match(await run(pen, args, { env }), { code: 0, stderr: "" }, "said once");
  await writeFile(log, lines[0]!);
  t.match(
    await run(pen, args, { env }),
    said,
    "a missing getfattr is reported if the previous line has an origin",
  );
});

t.test("the script reports a full disk", async (t) => {
  const env = { ...process.env, ICFS_BOOT_LOG: "/dev/full", ICFS_LEASES: "/dev/null" };
  const { code, stderr } = await run(PEN, ["tftp", "5", "127.9.9.9", "/srv/tftp/x"], { env });
  t.equal(code, 1);
  t.match(stderr, "icfs: the ledger misses /srv/tftp/x to 127.9.9.9: /dev/full cannot be written to");
});

t.test("the script ignores an attribute of a wrong form", async (t) => {
  const log = await logs({});
  const tools = join(dirname(log), "tools");
  const pen = join(dirname(log), "pen");
  await mkdir(tools);
  await writeFile(pen, (await readFile(PEN, "utf8")).replace(/^PATH=/m, `PATH=${tools}:`), { mode: 0o755 });
  const env = { ...process.env, ICFS_BOOT_LOG: log, ICFS_LEASES: "/dev/null" };
  for (const said of ["a b", "a b c d e f", "a b c d e\\nf", "a b c d \\033[2J", ORIGIN]) {
    await writeFile(join(tools, "getfattr"), `#!/bin/sh\nprintf '${said}'\n`, { mode: 0o755 });
    t.match(await run(pen, ["tftp", "5", "127.9.9.9", "/x"], { env }), { code: 0 });
  }
  t.same(await problemsOf(log), []);
  t.same(
    (await entriesOf(log)).map(({ transfer }) => transfer?.origin?.canister),
    [undefined, undefined, undefined, undefined, CANISTER],
  );
});

t.test("a log is read correctly when logrotate runs between opening and reading", async (t) => {
  const lines = chained([0, 1, 2, 3].map((i) => body({ time: at(i) })));
  const log = await logs({ "log.1": lines[0]! + lines[1]!, log: lines[2]! });
  await using ledger = await openLedger(log);
  const read = readLedger(ledger);
  const entries = [(await read.next()).value as Entry];
  await run("sh", ["-c", `gzip ${log}.1 && mv ${log}.1.gz ${log}.2.gz && mv ${log} ${log}.1`], {
    env: process.env,
  });
  await writeFile(log, lines[3]!);
  entries.push(...(await all(read)));
  t.same(
    entries.map(({ transfer, problem }) => [transfer?.time, problem]),
    [0, 1, 2].map((i) => [at(i), ""]),
    "the log is read as it was when it was opened",
  );
  t.same(
    (await entriesOf(log)).map(({ transfer }) => transfer?.time),
    [0, 1, 2, 3].map(at),
  );
});

t.test("a half-written .gz beside its log is ignored", async (t) => {
  const lines = chained([0, 1].map((i) => body({ time: at(i) })));
  const half = gzipSync(lines[0]!).subarray(0, 20);
  t.same(await problemsOf(await logs({ "log.1": lines[0]!, "log.1.gz": half, log: lines[1]! })), []);
});

async function boots(lines: readonly Fields[]): Promise<Boot[]> {
  async function* transfers(): AsyncGenerator<Transfer> {
    for (const fields of lines) yield parseLine(`${body(fields)} -`).transfer;
  }
  return all(bootsOf(transfers()));
}

const OTHER = "52:54:00:69:63:67";
const gap = GAP_MS / 1000;

/** Seconds and files of each boot. */
function sketch(found: readonly Boot[]): string[] {
  return found.map(
    ({ mac, address, transfers }) => `${mac ?? address}: ${transfers.map(({ file }) => file).join(" ")}`,
  );
}

t.test("transfers are grouped into boots", async (t: Test) => {
  t.same(
    sketch(
      await boots([
        { time: at(0), file: "/a" },
        { time: at(1), file: "/a", mac: OTHER },
        { time: at(2), file: "/b" },
        { time: at(gap), file: "/b", mac: OTHER },
        { time: at(gap + 3), file: "/c" },
        { time: at(gap + 4), file: "/c", mac: OTHER },
      ]),
    ),
    [`${MAC}: /a /b`, `${MAC}: /c`, `${OTHER}: /a /b /c`],
    "two machines at once, and a gap",
  );
  t.same(
    sketch(await boots(["/a", "/b", "/b", "/a", "/b"].map((file, i) => ({ time: at(i), file })))),
    [`${MAC}: /a /b /b`, `${MAC}: /a /b`],
    "a machine that starts again within the gap has two boots",
  );
  t.same(
    sketch(
      await boots([
        { mac: "-", address: "10.0.0.1", file: "/a" },
        { mac: "-", address: "10.0.0.2", file: "/a" },
        { mac: "-", address: "10.0.0.1", file: "/b" },
      ]),
    ),
    ["10.0.0.2: /a", "10.0.0.1: /a /b"],
    "no MAC",
  );
  t.equal(
    (await boots([{ time: at(gap + 9) }, { time: at(0), file: "/b" }])).length,
    2,
    "a clock that is set back starts another boot",
  );
  async function* setBack(): AsyncGenerator<Transfer> {
    yield parseLine(`${body({ time: at(gap + 9) })} -`).transfer;
    yield parseLine(`${body({ time: at(0), mac: OTHER })} -`).transfer;
    throw new Error("the first boot is still waited for");
  }
  t.match((await bootsOf(setBack()).next()).value, { mac: MAC }, "a boot ends when the clock is set back");
  t.same(await boots([]), []);
});

t.test("HTTP transfers without a MAC belong to the machine that has their address", async (t: Test) => {
  const http = (seconds: number, file: string, address = "10.0.0.1") => ({
    time: at(seconds),
    file,
    address,
    mac: "-",
  });
  const tftp = (seconds: number, file: string, mac = MAC) => ({ ...http(seconds, file), mac });
  t.same(
    sketch(
      await boots([tftp(0, "/a"), http(1, "/b"), http(2, "/x", "10.0.0.2"), tftp(3, "/c"), http(4, "/d")]),
    ),
    ["10.0.0.2: /x", `${MAC}: /a /b /c /d`],
    "transfers from a machine's address belong to that machine",
  );
  t.same(
    sketch(await boots([http(0, "/b"), tftp(1, "/a"), http(2, "/c")])),
    [`${MAC}: /b /a /c`],
    "an HTTP transfer may come before the line that gives the MAC",
  );
  t.same(
    sketch(await boots([tftp(0, "/a"), tftp(1, "/b", OTHER), http(2, "/c"), http(3, "/d")])),
    [`${MAC}: /a`, `${OTHER}: /b /c /d`],
    "an address belongs to the machine that had it last",
  );
  t.same(
    sketch(
      await boots([
        tftp(0, "/a"),
        http(gap + 1, "/b"),
        { ...tftp(gap + 2, "/c"), address: "10.0.0.9" },
        http(gap + 3, "/d"),
      ]),
    ),
    [`${MAC}: /a`, `${MAC}: /c`, "10.0.0.1: /b /d"],
    "after the gap, an address belongs to no known machine",
  );
});

t.test("several logs are merged in order of time", async (t) => {
  async function* log(...seconds: readonly number[]): AsyncGenerator<Transfer> {
    for (const second of seconds) yield parseLine(`${body({ time: at(second) })} -`).transfer;
  }
  const merged = await all(inOrderOfTime([log(0, 3, 4), log(), log(1, 2, 9)]));
  t.same(
    merged.map(({ time }) => time),
    [0, 1, 2, 3, 4, 9].map(at),
  );
  t.same(await all(inOrderOfTime([])), []);
});

t.test("100,000 lines of as many machines need little memory, and an endless boot is split", async (t) => {
  async function* many(fields: (i: number) => Partial<Transfer>): AsyncGenerator<Transfer> {
    const { transfer } = parseLine(`${body()} -`);
    for (let i = 0; i < 100_000; i++) yield { ...transfer, ...fields(i) };
  }
  let [count, waiting, most] = [0, 0, 0];
  const counted = async function* () {
    for await (const one of many((i) => ({ mac: undefined, address: `${i}`, time: at(i) }))) {
      waiting += 1;
      most = Math.max(most, waiting);
      yield one;
    }
  };
  for await (const { transfers } of bootsOf(counted())) {
    count += 1;
    waiting -= transfers.length;
  }
  t.equal(count, 100_000);
  t.ok(most <= gap + 2, `at most ${most} transfers are in memory`);
  const endless = await all(bootsOf(many((i) => ({ file: `/${i}` }))));
  t.same(
    endless.map(({ transfers }) => transfers.length),
    new Array(100_000 / MOST_TRANSFERS).fill(MOST_TRANSFERS),
  );
});
