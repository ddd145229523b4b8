/** Requests that wait: how many, for how long, and how the wait ends. */
import { EventEmitter } from "node:events";
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { Waits } from "../../lib/serve/waits.ts";
import { HUNG } from "../support/icfs.ts";

t.test("it comes, or the client goes", async (t) => {
  const waits = new Waits({ most: 3, limit: HUNG });
  const client = new EventEmitter();
  const first = waits.until("a", new EventEmitter());
  const second = waits.until("a", client);
  const other = waits.until("b", client);
  t.equal(waits.count, 3);
  await waits.until("a", client);
  t.equal(waits.count, 3, "one too many does not wait");
  waits.came("a");
  await Promise.all([first, second]);
  t.same([waits.count, waits.has("a"), waits.has("b")], [1, false, true]);
  client.emit("close");
  await other;
  t.same([waits.count, waits.has("b"), client.listenerCount("close")], [0, false, 0]);
});

t.test("whoever has said that nothing more will come, and may have gone, does not wait", async (t) => {
  const waits = new Waits({ most: 3, limit: HUNG });
  const socket = Object.assign(new EventEmitter(), { readableEnded: false });
  const client = Object.assign(new EventEmitter(), { req: { socket } });
  void waits.until("a", client);
  socket.emit("end");
  await setImmediate();
  t.same([waits.count, client.listenerCount("close"), socket.listenerCount("end")], [0, 0, 0]);
  socket.readableEnded = true;
  void waits.until("a", client);
  await setImmediate();
  t.equal(waits.count, 0);
  waits.end();
});

t.test("it does not come", async (t) => {
  const waits = new Waits({ most: 3, limit: 1 });
  await waits.until("a", new EventEmitter());
  t.equal(waits.count, 0);
});

t.test("the end of all", async (t) => {
  const waits = new Waits({ most: 3, limit: HUNG });
  const all = [waits.until("a", new EventEmitter()), waits.until("b", new EventEmitter())];
  waits.end();
  await Promise.all(all);
  await waits.until("c", new EventEmitter());
  t.equal(waits.count, 0, "nobody waits any more");
});
