/** Requests that wait: how many, for how long, and how the wait ends. */
import { EventEmitter } from "node:events";
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { Waits } from "../../lib/serve/waits.ts";
import { HUNG } from "../support/icfs.ts";

t.test("a wait ends when the chunk comes, or when the client goes", async (t) => {
  const waits = new Waits({ most: 3, limit: HUNG });
  const client = new EventEmitter();
  const first = waits.until("a", new EventEmitter());
  const second = waits.until("a", client);
  const other = waits.until("b", client);
  t.equal(waits.count, 3);
  await waits.until("a", client);
  t.equal(waits.count, 3, "a wait above the limit ends at once");
  waits.came("a");
  await Promise.all([first, second]);
  t.same([waits.count, waits.has("a"), waits.has("b")], [1, false, true]);
  client.emit("close");
  await other;
  t.same([waits.count, waits.has("b"), client.listenerCount("close")], [0, false, 0]);
});

t.test("a client that has closed its side of the connection does not wait", async (t) => {
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

t.test("a wait ends at its limit if nothing comes", async (t) => {
  const waits = new Waits({ most: 3, limit: 1 });
  await waits.until("a", new EventEmitter());
  t.equal(waits.count, 0);
});

t.test("end() ends all waits, and later ones at once", async (t) => {
  const waits = new Waits({ most: 3, limit: HUNG });
  const all = [waits.until("a", new EventEmitter()), waits.until("b", new EventEmitter())];
  waits.end();
  await Promise.all(all);
  await waits.until("c", new EventEmitter());
  t.equal(waits.count, 0, "nobody is waiting any more");
});
