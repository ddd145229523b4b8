/** Which mirrors are asked, and how often: web servers with faults, and the order of equal ones. */
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { VerificationError } from "../../../lib/ic/certificate/certificate.ts";
import { type EqualMirrors, Mirrors, type Question } from "../../../lib/source/icfs/mirrors.ts";
import { Urgency } from "../../../lib/urgency.ts";
import { stillClock } from "../../support/clock.ts";
import { exactly } from "../../support/exactly.ts";
import { HUNG, temporaryDirectory } from "../../support/icfs.ts";
import { type MirrorServer, startMirrorServer } from "../../support/mirror-server.ts";

const LIMIT = 10_000;
const RIGHT = Buffer.from("the right bytes");

const directory = await temporaryDirectory(t);
const PATH = ".icfs/chunk/a";
await mkdir(dirname(join(directory, PATH)), { recursive: true });
await writeFile(join(directory, PATH), RIGHT);
const start = (t: Test) => startMirrorServer(t, directory);

/** A question for those bytes, which the network does not have. */
function question(more: Partial<Question<Buffer>> = {}): Question<Buffer> {
  return {
    path: PATH,
    isChunk: true,
    most: 100,
    limit: LIMIT,
    verify: async (bytes) => {
      if (!bytes.equals(RIGHT)) throw new VerificationError("other bytes");
      return bytes;
    },
    network: () => Promise.reject(new Error("the network is gone")),
    missing: (why) => new Error(`nobody has it: ${why}`),
    ...more,
  };
}

const mirrorsOf = (named: readonly EqualMirrors[], only = true) => new Mirrors(named, { only, maxStale: 0 });
const controls = ({ asked }: MirrorServer) => asked.map(({ cacheControl }) => cacheControl);

t.test("a fetch asks what goes first, whether it is urgent or not", async (t) => {
  const path = ".icfs/chunk/large";
  await writeFile(join(directory, path), Buffer.alloc(700_000));
  const mirrors = mirrorsOf([(await start(t)).url]);
  for (const isUrgent of [false, true]) {
    let asked = 0;
    const urgency = new Urgency(() => {
      asked += 1;
      return undefined;
    });
    if (isUrgent) urgency.rise();
    await mirrors.ask(question({ path, most: 1_000_000, urgency, verify: async (bytes) => bytes }));
    t.ok(asked >= 1);
  }
});

t.test("after a wrong answer, the mirror is asked once more, past all caches", async (t) => {
  const [cached, liar, last] = [await start(t), await start(t), await start(t)];
  cached.fault = () => (cached.asked.length === 1 ? "lie" : "none");
  liar.fault = () => "lie";
  const told: string[] = [];
  const fixed = mirrorsOf([cached.url, last.url]);
  fixed.tell = (event) => told.push(event);
  t.same(await fixed.ask(question()), RIGHT);
  t.same(controls(cached), [undefined, "no-cache"]);
  t.match(
    fixed.health(),
    exactly({ wrong: 1, chunks: 1, bytes: RIGHT.length, aside: undefined }, { answers: 0 }),
  );
  t.match(
    told,
    exactly(/^the mirror http:\S+ has given a wrong answer \(other bytes\), and the right one when /),
  );

  const lied = mirrorsOf([liar.url, last.url]);
  t.same(await lied.ask(question()), RIGHT);
  t.same(controls(liar), [undefined, "no-cache"], "a lying mirror is asked only once more");
  t.same(controls(last), [undefined]);
  t.match(
    lied.health(),
    exactly({ wrong: 2, chunks: 0, aside: { why: /its answer was wrong/ } }, { chunks: 1 }),
  );
  t.same(await lied.ask(question()), RIGHT);
  t.equal(liar.asked.length, 2, "a lying mirror is put aside");
});

t.test("a mirror that fails after a wrong answer counts as wrong, however it fails", async (t) => {
  const mirror = await start(t);
  mirror.fault = () => (mirror.asked.length === 1 ? "lie" : "drop");
  const mirrors = mirrorsOf([mirror.url, `file://${directory}`]);
  t.same(await mirrors.ask(question()), RIGHT);
  t.match(mirrors.health()[0], {
    wrong: 1,
    failures: 0,
    aside: { why: /its answer was wrong: other bytes/ },
  });
});

t.test(
  "an error names each mirror with its failure, and is a lie only if all mirrors have lied",
  async (t) => {
    const [liar, other] = [await start(t), await start(t)];
    for (const one of [liar, other]) one.fault = () => "lie";
    const DEAD = "http://127.0.0.1:9";
    const EMPTY = `file://${join(directory, "empty")}`;
    const lie = (mirror: MirrorServer) => `${mirror.url}: other bytes`;
    for (const [named, isLie] of [
      [[liar.url, other.url], true],
      [[liar.url, DEAD], false],
      [[DEAD, liar.url], false],
      [[liar.url, EMPTY], false],
      [[EMPTY, DEAD, liar.url], false],
    ] as const) {
      const error = await mirrorsOf(named)
        .ask(question())
        .catch((error) => error);
      t.equal(error instanceof VerificationError, isLie, named.join(" "));
      t.match(error.message, /^no mirror has a right answer: /);
      t.ok(error.message.includes(lie(liar)), "the error names the lying mirror");
      t.equal(
        error.message.includes(`${DEAD}: connect ECONNREFUSED`),
        named.includes(DEAD),
        "the error names the dead mirror if there was one",
      );
      t.equal(
        error.message.includes(`${EMPTY}: there is no `),
        named.includes(EMPTY),
        "the error says what the empty mirror lacks, if there was one",
      );
    }
    const dead = mirrorsOf([DEAD, EMPTY]).ask(question());
    await t.rejects(dead, { name: "NoAnswerError", message: /^no mirror answers: / });
  },
);

t.test("chunks from the network are counted", async (t) => {
  const mirrors = mirrorsOf([`file://${join(directory, "empty")}`], false);
  t.same(await mirrors.ask(question({ network: async () => RIGHT })), RIGHT);
  t.same(mirrors.fromNetwork, { chunks: 1, bytes: RIGHT.length });
  t.equal(mirrors.health().length, 1);
});

t.test("equal mirrors share the chunks, and those of a failed mirror go to the others", async (t) => {
  const servers = [await start(t), await start(t), await start(t)];
  const [first, second, third] = servers as [MirrorServer, MirrorServer, MirrorServer];
  const equal = servers.map(({ url }) => url);
  const paths = Array.from({ length: 90 }, (_, i) => `.icfs/chunk/${i}`);
  for (const path of paths) await writeFile(join(directory, path), RIGHT);
  const last = `file://${directory}`;
  const askAll = async (mirrors: Mirrors) => {
    for (const server of servers) server.asked.length = 0;
    for (const path of paths) t.same(await mirrors.ask(question({ path })), RIGHT);
    return servers.map(({ asked }) => new Set(asked.map(({ path }) => path)));
  };
  const shares = await askAll(mirrorsOf([equal, last]));
  t.equal(
    shares.reduce((sum, { size }) => sum + size, 0),
    paths.length,
    "each chunk is asked for from exactly one mirror",
  );
  for (const { size } of shares) t.ok(size > 15, `${size}`);
  t.same(
    await askAll(mirrorsOf([equal.toReversed(), last])),
    shares,
    "the shares do not depend on the order of the mirrors",
  );

  second.fault = () => "drop";
  const mirrors = mirrorsOf([equal, last]);
  const without = await askAll(mirrors);
  for (const one of [0, 2]) {
    const [before, now] = [[...shares[one]!], [...without[one]!]];
    t.same(
      before.filter((path) => !without[one]!.has(path)),
      [],
      "each remaining mirror keeps its own chunks",
    );
    const more = now.filter((path) => !shares[one]!.has(path));
    t.ok(
      more.length > 0 && more.every((path) => shares[1]!.has(path)),
      "each remaining mirror takes over some chunks of the failed one",
    );
  }
  t.match(mirrors.health(), exactly({ failures: 0 }, { chunks: 0 }, { failures: 0 }, { answers: 0 }));
  for (const server of [first, third]) server.fault = () => "drop";
  t.same(
    await mirrors.ask(question({ path: paths[0]! })),
    RIGHT,
    "the next mirror is asked when all equal ones fail",
  );
});

t.test("a late mirror's answer still counts when the others fail", async (t) => {
  const slow = await start(t);
  const waiting: (() => void)[] = [];
  slow.fault = () => (response, bytes) => void waiting.push(() => response.end(bytes));
  const mirrors = mirrorsOf([slow.url], false);
  const network = async () => {
    waiting[0]!();
    throw new Error("the network is gone");
  };
  t.same(
    await mirrors.ask(question({ network })),
    RIGHT,
    "the late mirror's answer is used when the network fails",
  );
  t.match(mirrors.health(), exactly({ late: 1, chunks: 1 }));
});

t.test("mirrors that drip leave time for the network", async (t) => {
  const dripping = [await start(t), await start(t)];
  const open = new Set<ServerResponse>();
  for (const server of dripping) {
    server.fault = () => (response) => {
      open.add(response);
      const timer = setInterval(() => response.write("x"), 50);
      response.on("close", () => {
        clearInterval(timer);
        open.delete(response);
      });
    };
  }
  const mirrors = mirrorsOf(
    dripping.map(({ url }) => url),
    false,
  );
  let together = 0;
  const network = async () => {
    together = open.size;
    return RIGHT;
  };
  t.same(await mirrors.ask(question({ limit: 1500, most: 1e6, network })), RIGHT);
  t.equal(together, 2, "both mirrors are being read when the network is asked");
  const named = dripping.map(({ url }) => url);
  const hasty = new Mirrors(named, { only: false, maxStale: 0, whole: 1500 });
  t.same(
    await hasty.ask(question({ limit: 10 * HUNG, most: 1e6, network })),
    RIGHT,
    "the network is asked early even if the question itself may take long",
  );
  await Promise.all([...open].map((response) => once(response, "close")));
});

t.test("a chunk on its way to a mirror is waited for, unless a reader waits for it", async (t) => {
  const mirror = await start(t);
  const coming = (response: ServerResponse) =>
    void response.writeHead(404, { "retry-after": "1" }).end("on its way");
  const mirrors = mirrorsOf([mirror.url], false);
  const network = async () => RIGHT;
  const asked = () => mirror.asked.splice(0).length;
  t.same(await mirrors.ask(question()), RIGHT, "the mirror has given a chunk before");
  asked();
  mirror.fault = () => (mirror.asked.length < 3 ? coming : "none");
  t.same(await mirrors.ask(question({ network, urgency: new Urgency() })), RIGHT);
  t.match(mirrors.health(), exactly({ chunks: 2, missing: 0 }));
  t.equal(asked(), 3, "the mirror is asked until it has the chunk");

  const urgency = new Urgency();
  mirror.fault = () => {
    if (mirror.asked.length === 2) urgency.rise();
    return coming;
  };
  t.same(await mirrors.ask(question({ network, urgency })), RIGHT);
  t.equal(asked(), 2, "the mirror is not asked again once a reader waits");
  t.same(await mirrors.ask(question({ network })), RIGHT);
  t.equal(asked(), 1, "the mirror is asked only once if a reader already waits");
  mirror.fault = () => ({ status: 404 });
  t.same(await mirrors.ask(question({ network, urgency: new Urgency() })), RIGHT);
  t.equal(asked(), 1, "the mirror is asked only once if the chunk is not on its way");
  t.match(mirrors.health(), exactly({ chunks: 2, missing: 3 }));

  mirror.fault = () => coming;
  t.same(await mirrors.ask(question({ network, limit: 10, urgency: new Urgency() })), RIGHT);
  t.ok(asked() <= 2, "the mirror is not asked for ever");
  t.match(mirrors.health(), exactly({ failures: 1, aside: { why: /on its way/ } }));
});

t.test("a mirror with none of the chunks is asked last; a mirror with some is asked for all", async (t) => {
  const [empty, partial] = [await start(t), await start(t)];
  stillClock(t);
  const network = async () => RIGHT;
  empty.fault = () => ({ status: 404 });
  const told: string[] = [];
  const mirrors = mirrorsOf([empty.url], false);
  mirrors.tell = (event) => told.push(event);
  for (let i = 0; i < 20; i++) t.same(await mirrors.ask(question({ network })), RIGHT);
  t.equal(empty.asked.length, 8);
  t.match(
    mirrors.health(),
    exactly({ missing: 8, failures: 0, aside: { why: /^it had none of the chunks/ } }),
  );
  t.match(told, exactly(/^the mirror http:\S+ is put aside: it had none /));
  await mirrors.ask(question({ network, isChunk: false }));
  t.equal(empty.asked.length, 9, "a mirror without chunks is still asked for anything else");
  empty.fault = () => "none";
  t.same(await mirrors.ask(question()), RIGHT, "a mirror put aside is asked when no other has the chunk");
  t.equal(empty.asked.length, 10);
  t.notOk(mirrors.health()[0]!.aside, "and has it");
  t.same(await mirrors.ask(question({ network })), RIGHT);
  t.equal(empty.asked.length, 11);

  let asked = 0;
  partial.fault = () => (++asked % 8 === 0 ? "none" : { status: 404 });
  const growing = mirrorsOf([partial.url], false);
  for (let i = 0; i < 32; i++) await growing.ask(question({ network }));
  t.equal(asked, 32);
  t.match(growing.health(), exactly({ missing: 28, chunks: 4, aside: undefined }));

  asked = 0;
  partial.fault = () => (response) => void response.writeHead(404, { "retry-after": "1" }).end();
  for (let i = 0; i < 20; i++) await growing.ask(question({ network }));
  t.match(
    growing.health(),
    exactly({ missing: 48, aside: undefined }),
    "a mirror to which chunks are on their way is not put aside",
  );
});

t.test("a mirror that was put aside for having no chunks is asked again after a while", async (t) => {
  const mirror = await start(t);
  mirror.fault = () => ({ status: 404 });
  const mirrors = mirrorsOf([mirror.url], false);
  const advance = stillClock(t);
  const ask = () => mirrors.ask(question({ network: async () => RIGHT }));
  for (let i = 0; i < 9; i++) await ask();
  for (const [i, pause] of [1000, 2000, 4000].entries()) {
    advance(pause);
    await ask();
    await ask();
    t.equal(mirror.asked.length, 9 + i, "the mirror is asked once, then put aside for longer");
  }
  advance(8000);
  mirror.fault = () => "none";
  await ask();
  await ask();
  t.match(mirrors.health(), exactly({ chunks: 2, aside: undefined }));
});
