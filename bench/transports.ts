/**
 * The two transports side by side, on a tree in memory: `node bench/transports.ts [--seconds 5]`, as root; `make
 * bench-transports`. Each line is measured on fresh mounts, which are taken away again.
 */
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { Mounted, TRANSPORTS } from "./transports/mounted.ts";

/** Kinds of load.ts, and what they count. */
const LOADS = {
  sequential: "MiB read by one, through the page cache",
  direct: "MiB read by one, past the page cache",
  alone: "4 KiB read by one, at random",
  random: "4 KiB read by 32, at random",
  list: "names listed once",
  "list-long": "names listed and looked at once",
  stat: "names looked at again and again",
};

const { values } = parseArgs({ options: { seconds: { type: "string", default: "5" } } });

await interruptible("bench", async (signal) => {
  console.log(`${"a second".padStart(20)}${TRANSPORTS[1]!.padStart(14)}${"ratio".padStart(8)}`);
  for (const [kind, what] of Object.entries(LOADS)) {
    const rates: number[] = [];
    for (const transport of TRANSPORTS) {
      await using mounted = await Mounted.start(transport);
      const { count, seconds } = await mounted.load(kind, Number(values.seconds), signal);
      rates.push(count / seconds);
    }
    const [kernel, native] = rates as [number, number];
    const cells = [
      kernel.toFixed(0).padStart(20),
      native.toFixed(0).padStart(14),
      (kernel / native).toFixed(1).padStart(8),
    ];
    console.log(`${cells.join("")}  ${what}`);
  }
});
