import t from "tap";
import { AdaptiveWindow } from "../lib/adaptive-window.ts";

const OPTIONS = { deadline: 10_000, first: 4, most: 16 };

/** How many transfers fit into the window. */
const sizeOf = (window: AdaptiveWindow): number => {
  let underWay = 0;
  while (window.hasRoom(underWay)) underWay += 1;
  return underWay;
};

t.test("the window grows up to its limit while transfers are quick", async (t) => {
  const window = new AdaptiveWindow(OPTIONS);
  t.equal(sizeOf(window), 4);
  window.arrived(80, sizeOf(window));
  t.equal(sizeOf(window), 5);
  for (let i = 0; i < 100; i++) window.arrived(80, sizeOf(window));
  t.equal(sizeOf(window), 16);
});

t.test("slow transfers and failures shrink the window to one", async (t) => {
  const window = new AdaptiveWindow(OPTIONS);
  for (let i = 0; i < 100; i++) window.arrived(80, sizeOf(window));
  window.arrived(2000, sizeOf(window));
  t.equal(sizeOf(window), 16, "a transfer of medium speed leaves the window unchanged");
  window.arrived(3000, sizeOf(window));
  t.equal(sizeOf(window), 8);
  window.failed();
  t.equal(sizeOf(window), 4);
  for (let i = 0; i < 10; i++) window.arrived(5000, sizeOf(window));
  t.equal(sizeOf(window), 1);
  window.arrived(80, sizeOf(window));
  t.equal(sizeOf(window), 2, "a quick transfer lets the window grow again");
});

t.test("the window does not grow while most of it is empty", async (t) => {
  const window = new AdaptiveWindow(OPTIONS);
  for (let i = 0; i < 100; i++) window.arrived(80, 1);
  t.equal(sizeOf(window), 4);
  window.arrived(80, 2);
  t.equal(sizeOf(window), 5);
  window.arrived(80, 2);
  t.equal(sizeOf(window), 5, "two transfers in a window of five do not make it grow");
});

t.test(
  "the window does not grow when the first byte comes at once but the rest is slow: the link is busy",
  async (t) => {
    const window = new AdaptiveWindow(OPTIONS);
    for (let i = 0; i < 100; i++) window.arrived(80, sizeOf(window), 5);
    t.equal(sizeOf(window), 4);
    window.arrived(80, sizeOf(window), 40);
    t.equal(sizeOf(window), 5);
  },
);
