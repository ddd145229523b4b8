/**
 * Long files, which a gateway puts together from pieces. The certificate is a real one: it says that nothing below / is certified;
 * the calls are the test's own.
 */
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { IDL } from "@icp-sdk/core/candid";
import t, { type Test } from "tap";
import { targetOf } from "../../../localnet/gateway/canister-address.ts";
import { Gateway } from "../../../localnet/gateway/gateway.ts";
import type { Call, Header } from "../../../localnet/gateway/http-canister.ts";
import { Weather } from "../../../localnet/weather.ts";
import {
  certifiedSite,
  type HttpAnswer,
  NOTHING_CERTIFIED,
  startCertifier,
} from "../../support/certifier.ts";
import { type Asking, ask } from "../../support/web.ts";

const certifier = await startCertifier(t);
const { canister, rootKey } = certifier;
const HOST = `${canister}.localhost`;
const FINE_WEATHER = { latency: 0, updateLatency: 0, bandwidth: Number.POSITIVE_INFINITY };

/** The headers of an answer to any path. They prove that nothing of the answer is certified. */
const certified: Header[] = await (async () => {
  const site = certifiedSite([{ path: "/<*>", answer: "anything" }]);
  await certifier.actor.certify(site.root);
  const expression: Header = ["IC-CertificateExpression", NOTHING_CERTIFIED];
  const answer: HttpAnswer = { status: 200, headers: [expression], body: Buffer.from("") };
  await certifier.answer("GET /file", site.proved("/<*>", answer, ["/file"]));
  const { headers } = await ask(certifier.url, HOST, "/file");
  return [expression, ["IC-Certificate", String(headers["ic-certificate"])]];
})();

const headers = IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text));
const request = IDL.Record({ headers });
const response = IDL.Record({ status_code: IDL.Nat16, headers, body: IDL.Vec(IDL.Nat8) });

interface Piece {
  /** Content-Range; undefined: none. */
  readonly range: string | undefined;
  readonly body: Uint8Array;
  /** By default, the headers of an answer that may be anything. */
  readonly proof?: Header[];
}

interface Served {
  ask(asking?: Asking): ReturnType<typeof ask>;
  readonly url: string;
  /** The `Range` headers of the calls, in order. The first call has none. */
  readonly asked: (string | undefined)[];
  readonly log: string[];
}

/** A gateway in front of a canister that answers with `pieceOf`. @param pieceOf gets the first byte that is wanted; undefined: no range */
async function serve(
  t: Test,
  pieceOf: (from: number | undefined) => Piece | Promise<Piece>,
): Promise<Served> {
  const asked: (string | undefined)[] = [];
  const log: string[] = [];
  const call: Call = async (_kind, _canister, _method, argument) => {
    const [{ headers }] = IDL.decode([request], argument) as unknown as [{ headers: Header[] }];
    const range = headers.find(([name]) => name === "range")?.[1];
    asked.push(range);
    const from = range === undefined ? undefined : Number(/^bytes=(\d+)-/.exec(range)![1]);
    const { range: found, body, proof = certified } = await pieceOf(from);
    const described: Header[] = found === undefined ? [] : [["Content-Range", found]];
    const answer = { status_code: 206, headers: [...described, ...proof], body };
    return new Uint8Array(IDL.encode([response], [answer]));
  };
  const now = () => BigInt(Date.now()) * 1_000_000n;
  const gateway = new Gateway(
    { call, rootKey, now, log: (line) => log.push(line) },
    new Weather(FINE_WEATHER),
  );
  const server = createServer((incoming, outgoing) => {
    const { canister: id, url } = targetOf(incoming);
    const none = async () => new Uint8Array();
    gateway.serve(id!, url, none, incoming, outgoing).catch((error: Error) => {
      outgoing.writeHead(503).end(error.message);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, asked, log, ask: (asking) => ask(url, HOST, "/file", asking) };
}

/** The connection must end before the answer does, or even before it begins. @returns the part of the body that came */
async function cutShort(t: Test, asked: ReturnType<typeof ask>, what = "cut short"): Promise<Buffer> {
  try {
    const { status, complete, body } = await asked;
    t.match({ status, complete }, { status: 200, complete: false }, what);
    return body;
  } catch (error) {
    t.match(error, { code: "ECONNRESET" }, what);
    return Buffer.alloc(0);
  }
}

const FILE = Buffer.from("abcdefghij");
/** Bytes `begin` to `end`, inclusive. */
const piece = (begin: number, end: number, total = FILE.length): Piece => ({
  range: `bytes ${begin}-${end}/${total}`,
  body: FILE.subarray(begin, end + 1),
});

t.test("pieces are joined into one answer, whose length is known from the start", async (t) => {
  const { ask, asked } = await serve(t, (from = 0) => piece(from, Math.min(from + 2, 9)));
  const { status, headers, body, complete } = await ask();
  t.match({ status, body: body.toString(), complete }, { status: 200, body: "abcdefghij", complete: true });
  t.match(headers, { "content-length": "10" });
  t.equal(headers["content-range"], undefined);
  t.strictSame(asked, [undefined, "bytes=3-", "bytes=6-", "bytes=9-"]);
});

t.test("overlapping pieces", async (t) => {
  const { ask } = await serve(t, (from = 0) => piece(Math.max(0, from - 2), Math.min(from + 1, 9)));
  t.equal((await ask()).body.toString(), "abcdefghij");
});

t.test("a first piece that is the whole file", async (t) => {
  const { ask, asked } = await serve(t, () => piece(0, 9));
  t.match({ ...(await ask()) }, { status: 200, body: FILE });
  t.equal(asked.length, 1);
});

t.test("HEAD requests only the first piece", async (t) => {
  const { ask, asked } = await serve(t, () => piece(0, 2));
  const { status, headers, body } = await ask({ method: "HEAD" });
  t.match(
    { status, length: headers["content-length"], body: body.length },
    { status: 200, length: "10", body: 0 },
  );
  t.equal(asked.length, 1);
});

t.test("a request for a range gets that piece unchanged", async (t) => {
  const { ask, asked } = await serve(t, () => piece(3, 5));
  const { status, headers, body } = await ask({ headers: { Range: "bytes=3-5" } });
  t.match({ status, body: body.toString() }, { status: 206, body: "def" });
  t.equal(headers["content-range"], "bytes 3-5/10");
  t.strictSame(asked, ["bytes=3-5"]);
});

t.test("an invalid first piece", async (t) => {
  const wrong: Record<string, Piece> = {
    "not the first": piece(1, 3),
    "without a range": { range: undefined, body: FILE },
    "a range that is none": { range: "bytes */10", body: FILE },
    "from behind to before": { range: "bytes 5-3/10", body: FILE },
    "beyond the end": { range: "bytes 0-10/10", body: FILE },
    "more bytes than it says": { range: "bytes 0-2/10", body: FILE },
    "fewer bytes than it says": { range: "bytes 0-9/10", body: FILE.subarray(1) },
  };
  for (const [what, first] of Object.entries(wrong)) {
    const { ask, asked } = await serve(t, () => first);
    t.equal((await ask()).status, 503, what);
    t.equal(asked.length, 1);
  }
});

t.test("a wrong later piece cuts the answer short", async (t) => {
  const tampered = certified.map(
    ([name, value]): Header => [name, value.replace(/tree=:.*/, "tree=:AAAA:, version=2")],
  );
  const wrong: Record<string, Piece> = {
    "begins too late": piece(4, 9),
    "ends too early": piece(0, 2),
    "is not certified": { ...piece(3, 9), proof: [] },
    "is certified wrongly": { ...piece(3, 9), proof: tampered },
    "without a range": { range: undefined, body: FILE },
    "more bytes than it says": { range: "bytes 3-9/10", body: FILE },
    "beyond the end that was said": { range: "bytes 3-12/20", body: FILE },
  };
  for (const [what, later] of Object.entries(wrong)) {
    const { ask } = await serve(t, (from) => (from === undefined ? piece(0, 2) : later));
    const body = await cutShort(t, ask(), what);
    t.ok(body.length === 0 || FILE.subarray(0, 3).equals(body), "nothing of the wrong piece is served");
  }
});

t.test("a failed call also cuts the answer short, and is logged", async (t) => {
  const { ask, log } = await serve(t, (from) => {
    if (from !== undefined) throw new Error("the network is gone");
    return piece(0, 2);
  });
  await cutShort(t, ask());
  t.match(log.join(), "the network is gone");
});

t.test("at most 1,000 pieces", async (t) => {
  const total = 1001;
  const one = (from = 0): Piece => ({ range: `bytes ${from}-${from}/${total}`, body: Buffer.from("x") });
  const { ask, asked, log } = await serve(t, one);
  const body = await cutShort(t, ask());
  t.equal(asked.length, 1000);
  t.ok(body.length <= 1000);
  t.match(log.join(), "more than 1000 pieces");
});

/** One MiB of a file of `count` MiB. */
const MEBIBYTE = 1 << 20;
const mebibyte = (count: number) => {
  const body = Buffer.alloc(MEBIBYTE, "x");
  return (from = 0): Piece => ({ range: `bytes ${from}-${from + MEBIBYTE - 1}/${count * MEBIBYTE}`, body });
};

/** Sends a request and reads nothing of the answer's body. */
function begun(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(`${url}/file`, { headers: { host: HOST } }, (incoming) => {
      incoming.on("error", () => {});
      resolve(incoming);
    }).once("error", reject);
  });
}

/** Resolves when nothing has been requested for a while. */
async function silence(asked: readonly unknown[]): Promise<void> {
  for (let quiet = 0, before = -1; quiet < 20; quiet = asked.length === before ? quiet + 1 : 0) {
    before = asked.length;
    await sleep(10);
  }
}

t.test("the gateway requests no more pieces when a client stops reading or disconnects", async (t) => {
  const count = 200;
  const { url, asked } = await serve(t, mebibyte(count));
  const incoming = await begun(url);
  await silence(asked);
  // The system's buffers hold some megabytes of one connection.
  t.ok(
    asked.length < count / 2,
    `${asked.length} pieces are requested for a client that has stopped reading`,
  );
  incoming.destroy();
  await silence(asked);
  t.ok(asked.length < count / 2);
});
