/** Lines of HTTP access logs. In test/ledger/http.long.ts, nginx and icfs write them. */
import t from "tap";
import { httpLine, parseHttpLine } from "../../lib/ledger/http-line.ts";
import { CANISTER, HEADER } from "./lines.ts";

const SHA256 = "cd".repeat(32);

type Fields = Readonly<Record<string, string>>;

/** As nginx writes it. */
function line(fields: Fields = {}): string {
  const { time, address, method, status, sent, length, etag, canister, release, header, uri } = {
    ...{ time: "2026-11-30T09:00:00+02:00", address: "192.168.7.2", method: "GET", status: "200" },
    ...{ sent: "42430", length: "42430", etag: `\\x22${SHA256}\\x22`, canister: CANISTER },
    ...{ release: "-", header: "-", uri: "/.icfs/at/2/boot/a%20b?mac=52-54-00-69-63-66" },
    ...fields,
  };
  return `icfs-http ${time} ${address} ${method} ${status} ${sent} ${length} ${etag} ${canister} ${release} ${header} ${uri}`;
}

const origin = (uri: string, more: Fields = {}) => {
  const parsed = parseHttpLine(line({ uri, ...more }));
  return parsed.kind === "whole" ? parsed.transfer.origin : parsed.kind;
};

t.test("nginx's line for a file is parsed", async (t) => {
  t.same(parseHttpLine(line()), {
    kind: "whole",
    transfer: {
      via: "http",
      time: "2026-11-30T07:00:00Z",
      address: "192.168.7.2",
      mac: "52:54:00:69:63:66",
      file: "http:/boot/a b",
      size: 42430,
      origin: { canister: CANISTER, release: 2, header: undefined, sha256: SHA256, path: "boot/a b" },
    },
  });
});

t.test("the file, release and channel come from the URI", async (t) => {
  t.match(origin("/boot/linux"), { path: "boot/linux", release: undefined });
  t.match(origin("/"), { path: "index.html" });
  t.match(origin("/gr\\xC3\\xBCn/\\x22"), { path: 'grün/"' }, "escaped by nginx");
  t.match(origin("/a\\x41", { header: HEADER }), { path: "a\\x41" }, "by icfs, which does not");
  t.match(origin("/@stable/linux"), { path: "linux", channel: "stable" });
  t.match(origin("/@stable/linux", { header: HEADER, release: "3" }), { path: "@stable/linux", release: 3 });
  t.match(origin("/linux", { canister: `${CANISTER}@stable` }), { path: "linux", channel: "stable" });
  t.match(origin("/linux", { etag: `\\"${SHA256}\\"` }), { sha256: SHA256 }, "with escape=json");
  t.match(origin("/linux", { etag: "-" }), { sha256: undefined });
  t.match(origin("/linux", { etag: "\\x22abc\\x22" }), { sha256: undefined });
  for (const uri of [
    "/.icfs/release",
    `/.icfs/chunk/${SHA256}`,
    "/.icfs/at/2",
    "/.icfs/at/x/linux",
    "/%zz",
    "linux",
    "http://x/linux",
  ])
    t.equal(origin(uri), "other", uri);
});

t.test("MACs and addresses in every form", async (t) => {
  const sent = (fields: Fields) => {
    const parsed = parseHttpLine(line(fields));
    return parsed.kind === "whole" ? parsed.transfer : undefined;
  };
  for (const mac of ["525400696366", "52%3A54%3A00%3A69%3A63%3A66", "5254.0069.6366"])
    t.match(sent({ uri: `/linux?mac=${mac}` }), { mac: "52:54:00:69:63:66" }, mac);
  t.match(sent({ address: "::ffff:192.168.7.2" }), { address: "192.168.7.2" });
});

t.test("partial answers, and answers without a file, are not whole transfers", async (t) => {
  t.equal(origin("/linux", { sent: "42429" }), "part");
  t.equal(origin("/linux", { status: "206" }), "part");
  t.equal(origin("/linux", { length: "-" }), "part");
  const others: Fields[] = [{ method: "HEAD" }, { status: "304" }, { status: "404" }];
  for (const fields of others) t.equal(origin("/linux", fields), "other");
});

t.test("hostile lines are refused", async (t) => {
  const fields: Fields[] = [
    { time: "30/Nov/2026:07:00:00" },
    { time: "2026-13-41T07:00:00Z" },
    { address: "host" },
    { address: "-" },
    { canister: "../x" },
    { canister: "-@" },
    { sent: "1e9" },
    { sent: "9".repeat(20) },
  ];
  const lines = [
    ...["", "icfs-http", "x".repeat(30_000), " ".repeat(30_000), `${line()} -`, `x${line()}`],
    ...fields.map(line),
  ];
  for (const one of lines) t.throws(() => parseHttpLine(one), { name: "FormatError" }, one.slice(0, 120));
});

t.test("icfs writes a valid line, whatever a client has asked for", async (t) => {
  const answer = {
    ...{ time: Date.parse("2026-11-30T07:00:00.789Z"), address: "fd69::2", method: "GET", status: 200 },
    ...{ sent: 5, length: 5, sha256: SHA256, canister: CANISTER, release: 2, header: HEADER },
  };
  const written = httpLine({ ...answer, uri: "/a?\u{1b}[2J\n x\u{e9}" });
  t.match(written, /^[ -~]+\n$/);
  t.match(parseHttpLine(written.slice(0, -1)), {
    kind: "whole",
    transfer: {
      time: "2026-11-30T07:00:00Z",
      address: "fd69::2",
      file: "http:/a",
      origin: { header: HEADER },
    },
  });
  t.match(
    parseHttpLine(httpLine({ ...answer, sha256: undefined, release: undefined, uri: "/a" }).trimEnd()),
    {
      transfer: { origin: { sha256: undefined, release: undefined } },
    },
  );
});
