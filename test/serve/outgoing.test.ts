/** Clients take turns to be sent something. The test sets the clock. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import t from "tap";
import { createLog } from "../../lib/log.ts";
import { Outgoing, type Turn } from "../../lib/serve/outgoing.ts";
import type { ServedReleases } from "../../lib/serve/releases.ts";
import { Site } from "../../lib/serve/site.ts";

function outgoing(most: number) {
  const clock = { now: 0 };
  const cut: string[] = [];
  const all = new Outgoing(most, () => clock.now);
  const turn = (name: string) => {
    const made: Turn = all.turnFor({
      cutOff: () => {
        cut.push(name);
        made.end();
      },
    });
    return made;
  };
  return { all, turn, clock, cut };
}

/** Whether a turn has been given by now. */
async function given(taken: Promise<void>): Promise<boolean> {
  let is = false;
  taken.then(() => {
    is = true;
  });
  await new Promise(setImmediate);
  return is;
}

t.test("a limited number of clients have turns at once, and the others wait in order", async (t) => {
  const { all, turn } = outgoing(2);
  const [a, b, c, d] = [turn("a"), turn("b"), turn("c"), turn("d")];
  await a.take();
  await b.take();
  const [forC, forD] = [c.take(), d.take()];
  t.notOk(await given(forC));
  a.end();
  t.ok(await given(forC), "the client that has waited longest gets the turn");
  t.notOk(await given(forD));
  t.equal(all.holding, 2);
  const again = b.take();
  t.ok(await given(forD), "a client's next chunk waits behind clients that have none yet");
  t.notOk(await given(again));
  c.end();
  t.ok(await given(again));
  for (const one of [b, d]) one.end();
  t.equal(all.holding, 0);
});

t.test("a client that leaves while it waits gets no turn", async (t) => {
  const { all, turn } = outgoing(1);
  const [a, b, c] = [turn("a"), turn("b"), turn("c")];
  await a.take();
  const [forB, forC] = [b.take(), c.take()];
  b.end();
  t.ok(await given(forB), "the wait of a client that leaves ends");
  a.end();
  t.ok(await given(forC));
  t.equal(all.holding, 1);
  c.end();
  c.end();
  t.equal(all.holding, 0, "ended twice");
});

t.test("a client that does not read is cut off while others wait", async (t) => {
  const { all, turn, clock, cut } = outgoing(2);
  const [stalled, slow, waiting, last] = [turn("stalled"), turn("slow"), turn("waiting"), turn("last")];
  await stalled.take();
  await slow.take();
  clock.now = 60_000;
  all.look();
  t.same(cut, [], "nobody is cut off while nobody waits");
  slow.moved();
  // Its turn began long ago, but it still gets something.
  await slow.take();
  const forWaiting = waiting.take();
  all.look();
  t.same(cut, ["stalled"]);
  t.ok(await given(forWaiting));
  const forLast = last.take();
  for (let s = 4; s < 30; s += 4) {
    clock.now = 60_000 + 1000 * s;
    slow.moved();
    waiting.moved();
    all.look();
  }
  t.same(cut, ["stalled"], "a slow reader is given time");
  clock.now = 90_000;
  slow.moved();
  waiting.moved();
  all.look();
  t.same(cut, ["stalled", "slow", "waiting"], "even slow readers are cut off in the end");
  t.ok(await given(forLast));
  last.end();
  t.equal(all.cutOff, 3);
});

t.test("the more clients wait, the sooner a client that does not read is cut off", async (t) => {
  const { all, turn, clock, cut } = outgoing(2);
  const stalled = Array.from({ length: 20 }, (_, i) => turn(`stalled ${i}`));
  const taken = stalled.map((one) => one.take());
  const honest = turn("honest");
  const forHonest = honest.take();
  clock.now = 900;
  all.look();
  t.same(cut, [], "nobody is cut off within the first second");
  for (; cut.length < 20; clock.now += 500) {
    all.look();
    for (const one of taken) await given(one);
  }
  t.ok(await given(forHonest));
  t.ok(clock.now < 20_000, `${clock.now} ms to cut off twenty clients, two at a time`);
});

t.test("a client that waits for its turn does not count as idle", async (t) => {
  const chunk = Buffer.from("chunk");
  const releases = { untilHere: async () => {}, chunk: async () => chunk } as unknown as ServedReleases;
  const site = new Site(releases, { chunksInHand: 1, mustBeFresh() {}, log: createLog("error") });
  const asked = Promise.withResolvers<Socket>();
  const server = createServer((request, response) => {
    void site.answer(request, response);
    asked.resolve(request.socket);
  }).listen(0);
  await once(server, "listening");
  t.teardown(() => server.close());
  const other = site.outgoing.turnFor({ cutOff() {} });
  await other.take();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/.icfs/chunk/${"00".repeat(32)}`;
  const answer = fetch(url).then((response) => response.text());
  const socket = await asked.promise;
  // Like the server's own timeout, but not before the server has the request.
  socket.setTimeout(50);
  await once(socket, "timeout");
  other.end();
  t.equal(await answer, "chunk");
});

t.test("a client that leaves while its chunk is fetched keeps no turn", async (t) => {
  const here = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<ServerResponse>();
  const untilHere = (_: Buffer, response: ServerResponse) => {
    asked.resolve(response);
    return here.promise;
  };
  const releases = { untilHere, chunk: async () => Buffer.from("chunk") } as unknown as ServedReleases;
  const site = new Site(releases, { chunksInHand: 1, mustBeFresh() {}, log: createLog("error") });
  const answered = Promise.withResolvers<void>();
  const server = createServer((request, response) => answered.resolve(site.answer(request, response)));
  await once(server.listen(0), "listening");
  t.teardown(() => server.close());
  const leaving = new AbortController();
  const { port } = server.address() as AddressInfo;
  const answer = fetch(`http://127.0.0.1:${port}/.icfs/chunk/${"00".repeat(32)}`, { signal: leaving.signal });
  const response = await asked.promise;
  const closed = once(response, "close");
  leaving.abort();
  await t.rejects(answer);
  await closed;
  here.resolve();
  await answered.promise;
  t.equal(site.outgoing.holding, 0);
});
