import { hash } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { gzipSync } from "node:zlib";
import t, { type Test } from "tap";
import { boundedFetch } from "../../../lib/ic/transport/bounded-fetch.ts";
import { letOthers } from "../../../lib/steps.ts";
import { Urgency } from "../../../lib/urgency.ts";
import { exactly } from "../../support/exactly.ts";

/** Milliseconds to wait for something that must come: a busy machine is late. */
const LONG = 60_000;

/** CBOR: a byte string of so many bytes. */
function byteString(length: number): Buffer {
  const bytes = Buffer.alloc(5 + length);
  bytes[0] = 0x5a;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

async function serve(t: Test, answer: (response: ServerResponse) => unknown): Promise<string> {
  const server = createServer((_, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** A clock of the test's for setTimeout(), with refresh(), which node:test's lacks. @returns a function that lets milliseconds pass */
function ownClock(t: Test): (milliseconds: number) => void {
  const { setTimeout, clearTimeout } = globalThis;
  const due = new Map<unknown, { work: () => void; at: number }>();
  let now = 0;
  const start = (work: () => void, milliseconds: number) => {
    const set = () => due.set(timer, { work, at: now + milliseconds });
    const timer = { refresh: set };
    set();
    return timer;
  };
  Object.assign(globalThis, { setTimeout: start, clearTimeout: (timer: unknown) => due.delete(timer) });
  t.teardown(() => Object.assign(globalThis, { setTimeout, clearTimeout }));
  return (milliseconds) => {
    now += milliseconds;
    for (const [timer, { work, at }] of [...due]) {
      if (at > now) continue;
      due.delete(timer);
      work();
    }
  };
}

t.test("an answer is returned with its status and headers", async (t) => {
  const body = byteString(100_000);
  const url = await serve(t, (response) => response.writeHead(200, { "x-test": "yes" }).end(body));
  const response = await boundedFetch(url, undefined, { idle: LONG });
  t.equal(response.headers.get("x-test"), "yes");
  t.ok(Buffer.from(await response.arrayBuffer()).equals(body));
  const refusing = await serve(t, (response) => response.writeHead(503, "Busy").end("later"));
  const refused = await boundedFetch(refusing, undefined, { idle: LONG });
  t.match([refused.status, refused.statusText, await refused.text()], exactly(503, "Busy", "later"));
  const accepting = await serve(t, (response) => response.writeHead(202).end());
  t.equal((await boundedFetch(accepting, undefined, { idle: LONG })).status, 202);
});

t.test("an answer comes with its SHA-256 if asked for, in however many pieces it arrives", async (t) => {
  const body = Buffer.concat([byteString(700_000), Buffer.from("the end")]);
  const url = await serve(t, (response) => {
    response.write(body.subarray(0, 1000));
    response.end(body.subarray(1000));
  });
  const { sha256 } = await boundedFetch(url, undefined, { idle: LONG }, undefined, "bytes");
  t.equal(sha256?.toString("hex"), hash("sha256", body));
});

t.test("reading an answer pauses while others go first", async (t) => {
  const body = Buffer.alloc(2_000_000, 1);
  const url = await serve(t, (response) => response.end(body));
  let received = 0;
  let isOver = false;
  let asked = Promise.withResolvers<() => void>();
  const others = () => (isOver ? undefined : new Promise<void>((resolve) => asked.resolve(resolve)));
  const whole = boundedFetch(
    url,
    undefined,
    { idle: LONG, others },
    (bytes) => {
      received += bytes;
    },
    "bytes",
  );
  for (let turn = 1; turn <= 3; turn++) {
    const goOn = await Promise.race([asked.promise, whole.then(() => undefined)]);
    if (goOn === undefined) return t.fail("all of it has come at once");
    const before = received;
    t.ok(before < turn * 500_000, `${before} bytes`);
    for (let i = 0; i < 20; i++) await letOthers();
    t.equal(received, before);
    asked = Promise.withResolvers();
    isOver = turn === 3;
    goOn();
  }
  t.ok(Buffer.from(await (await whole).arrayBuffer()).equals(body));
});

t.test("a slow answer is accepted: only silence ends a request", async (t) => {
  const sent = Promise.withResolvers<ServerResponse>();
  const url = await serve(t, (response) => {
    response.flushHeaders();
    sent.resolve(response);
  });
  const tick = ownClock(t);
  let arrived = 0;
  let wanted = 0;
  let enough = Promise.withResolvers<void>();
  const answer = boundedFetch(url, undefined, { idle: 400 }, (part) => {
    arrived += part;
    if (arrived >= wanted) enough.resolve();
  });
  const body = byteString(49_995);
  const response = await sent.promise;
  for (; wanted < body.length; enough = Promise.withResolvers()) {
    tick(300);
    response.write(body.subarray(wanted, wanted + 10_000));
    wanted += 10_000;
    await Promise.race([enough.promise, answer]);
  }
  response.end();
  t.equal((await (await answer).arrayBuffer()).byteLength, 50_000);
});

t.test("silence before, during or at the end of an answer ends the request", async (t) => {
  for (const sent of [undefined, 0, 10] as const) {
    const url = await serve(t, (response) => {
      if (sent === undefined) return;
      response.writeHead(200, { "content-length": 100 });
      response.write(byteString(100).subarray(0, sent));
      response.flushHeaders();
    });
    await t.rejects(boundedFetch(url, undefined, { idle: 100 }), { message: /no answer within 0.1 s/ });
  }
});

/**
 * How a request ends when so many bytes arrive each half second, and after how many seconds of the test's own clock.
 *
 * @param hurry seconds after which a reader waits for the answer. Default: a reader waits from the start
 */
async function dripped(
  t: Test,
  bytes: number,
  path = "",
  most?: number,
  hurry?: number,
): Promise<[string, number]> {
  const urgency = hurry === undefined ? undefined : new Urgency();
  const sent = Promise.withResolvers<ServerResponse>();
  const closed = Promise.withResolvers<void>();
  const url = await serve(t, (response) => {
    response.on("close", () => closed.resolve());
    // Otherwise the first bytes would come along with the headers.
    response.flushHeaders();
    sent.resolve(response);
  });
  // With the real clock, pauses on a busy machine would count as silences.
  const tick = ownClock(t);
  let arrived = 0;
  let wanted = 0;
  let enough = Promise.withResolvers<void>();
  const answer = boundedFetch(url + path, undefined, { idle: 1000, most, urgency, leisure: 5000 }, (part) => {
    arrived += part;
    if (arrived >= wanted) enough.resolve();
  });
  let isOver = false;
  const ended = answer.then(
    () => "an answer",
    (error: Error) => error.message,
  );
  void ended.finally(() => {
    isOver = true;
  });
  const response = await sent.promise;
  let seconds = 0;
  for (; seconds < 20 && !isOver; seconds += 0.5) {
    wanted += bytes;
    response.write(Buffer.alloc(bytes));
    if (bytes > 0) await Promise.race([enough.promise, ended]);
    if (seconds === hurry) urgency!.rise();
    enough = Promise.withResolvers();
    tick(500);
    await new Promise(setImmediate);
  }
  response.end();
  const why = await ended;
  await closed.promise;
  return [why, seconds];
}

t.test("a trickle is refused, however long it goes on", async (t) => {
  for (const bytes of [1, 400]) {
    const [why, seconds] = await dripped(t, bytes);
    t.match(why, /^no answer within 1 s, but a trickle of \d+ bytes$/);
    t.ok(seconds >= 1 && seconds <= 2, `after ${seconds} s`);
  }
});

t.test(
  "an answer faster than a trickle also has a time limit, and a small one a shorter limit",
  async (t) => {
    t.equal((await dripped(t, 10_000))[0], "no whole answer within 6 s");
    t.equal((await dripped(t, 10_000, "read_state"))[0], "no whole answer within 2 s");
    t.equal((await dripped(t, 3000, "", 1000_000))[0], "no whole answer within 2 s");
    t.equal((await dripped(t, 3000, "", 5000))[0], "an answer of over 5000 bytes is too large");
  },
);

t.test("while no reader waits, an answer may take as long as bytes keep arriving", async (t) => {
  const [why, seconds] = await dripped(t, 10_000, "", undefined, 12);
  t.equal(why, "no whole answer within 6 s");
  t.ok(seconds > 17, `after ${seconds} s`);
  t.equal((await dripped(t, 0, "", undefined, 3))[0], "no answer within 1 s");
  t.equal((await dripped(t, 0, "", undefined, 100))[0], "no answer within 5 s");
  const [trickle] = await dripped(t, 400, "", undefined, 100);
  t.match(trickle, /^no answer within 5 s, but a trickle of \d+ bytes$/);
});

t.test("answers that are too large or compressed are refused", async (t) => {
  const large = byteString(5 * 1024 * 1024);
  const plain = await serve(t, (response) => response.end(large));
  await t.rejects(boundedFetch(plain, undefined, { idle: LONG }), { message: /too large/ });
  const body = gzipSync(Buffer.alloc(200_000_000));
  const packed = await serve(t, (response) =>
    response.writeHead(200, { "content-encoding": "gzip" }).end(body),
  );
  await t.rejects(boundedFetch(packed, undefined, { idle: LONG }), { message: /compressed/ });
});

t.test("an answer's length may be missing, and a wrong length is an error", async (t) => {
  const body = byteString(300_000);
  const streamed = await serve(t, (response) => {
    response.write(body.subarray(0, 70_000));
    response.end(body.subarray(70_000));
  });
  t.ok(
    Buffer.from(await (await boundedFetch(streamed, undefined, { idle: LONG })).arrayBuffer()).equals(body),
  );
  const boasting = (bytes: number) =>
    serve(t, (response) => {
      response.writeHead(200, { "content-length": bytes });
      response.write(body, () => response.destroy());
    });
  await t.rejects(boundedFetch(await boasting(4_000_000), undefined, { idle: LONG }), {
    message: /closed before the end/,
  });
  await t.rejects(boundedFetch(await boasting(1_000_000_000_000), undefined, { idle: LONG }), {
    message: /too large/,
  });
});

t.test("a redirect is not followed", async (t) => {
  let asked = 0;
  const elsewhere = await serve(t, (response) => {
    asked += 1;
    response.end(byteString(1));
  });
  const url = await serve(t, (response) => response.writeHead(307, { location: elsewhere }).end());
  await t.rejects(boundedFetch(url, undefined, { idle: LONG }), { message: /sent elsewhere/ });
  t.equal(asked, 0);
});

/** Answers each request with bytes that no server of Node's would send. */
async function serveRaw(t: Test, answer: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.write(answer, "latin1"));
    t.teardown(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

t.test("an answer in another protocol, or with a status that HTTP does not have, is refused", async (t) => {
  const switching = "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
  await t.rejects(boundedFetch(await serveRaw(t, switching), undefined, { idle: LONG }), {
    name: "NoAnswerError",
  });
  for (const status of ["999", "600", "099"]) {
    const url = await serveRaw(t, `HTTP/1.1 ${status} Odd\r\ncontent-length: 0\r\n\r\n`);
    const message = `the answer has the status ${Number(status)}, which is not one of HTTP's`;
    await t.rejects(boundedFetch(url, undefined, { idle: LONG }), { message });
  }
  const spoken = await serveRaw(t, "HTTP/1.1 500 \x1b]0;x\x07\xff\r\ncontent-length: 0\r\n\r\n");
  t.match(await boundedFetch(spoken, undefined, { idle: LONG }), { status: 500, statusText: "?]0;x?\xff" });
});

t.test("an answer can be read twice, as the agent does", async (t) => {
  const body = byteString(10);
  const url = await serve(t, (response) => response.end(body));
  const response = await boundedFetch(url, undefined, { idle: LONG });
  t.ok(Buffer.from(await response.clone().arrayBuffer()).equals(body));
  t.ok(Buffer.from(await response.arrayBuffer()).equals(body));
});

t.test("answers that are not CBOR, or too complex, are refused", async (t) => {
  const html = await serve(t, (response) => response.end("<html>please log in</html>"));
  await t.rejects(boundedFetch(html, undefined, { idle: LONG }), { name: "FormatError" });
  // An array of 2^32 - 1 elements in five bytes, and arrays nested 1,000 deep.
  // Three million empty strings, well-formed, which a general decoder would make one by one.
  const many = Buffer.alloc(3_000_005, 0x60);
  many.write("9a002dc6c0", "hex");
  // As many parts as a query's answer with 200 signatures would have.
  const signed = Buffer.concat([Buffer.from("990578", "hex"), Buffer.alloc(1400)]);
  for (const hostile of [Buffer.from("9affffffff", "hex"), Buffer.alloc(1000, 0x81), many, signed]) {
    const url = await serve(t, (response) => response.end(hostile));
    await t.rejects(boundedFetch(url, undefined, { idle: LONG }), { name: "FormatError" });
  }
});
