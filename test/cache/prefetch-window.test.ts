import t from "tap";
import { PrefetchWindow } from "../../lib/cache/prefetch-window.ts";

/** How many fit. */
const sizeOf = (window: PrefetchWindow): number => {
  let underWay = 0;
  while (window.hasRoom(underWay)) underWay += 1;
  return underWay;
};

t.test("the window grows while chunks come quickly, to a limit", async (t) => {
  const window = new PrefetchWindow(10_000);
  const first = sizeOf(window);
  window.arrived(80);
  t.equal(sizeOf(window), first + 1);
  for (let i = 0; i < 100; i++) window.arrived(80);
  t.equal(sizeOf(window), 16);
});

t.test("chunks that take long, and failures, shrink it to one", async (t) => {
  const window = new PrefetchWindow(10_000);
  for (let i = 0; i < 100; i++) window.arrived(80);
  window.arrived(2000);
  t.equal(sizeOf(window), 16, "neither quick nor slow");
  window.arrived(3000);
  t.equal(sizeOf(window), 8);
  window.failed();
  t.equal(sizeOf(window), 4);
  for (let i = 0; i < 10; i++) window.arrived(5000);
  t.equal(sizeOf(window), 1);
  window.arrived(80);
  t.equal(sizeOf(window), 2, "and it recovers");
});
