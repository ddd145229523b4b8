/**
 * Thirty-two readers for minutes, with reads that take a random time, over each transport in turn: does it stay as fast, and
 * as small? `node bench/soak.ts [--minutes 10]` in all, as root; `make soak`. It ends by itself, and leaves nothing.
 */
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { Mounted, TRANSPORTS, type Usage } from "./transports/mounted.ts";

/** Milliseconds: a read takes up to that. Slow ones and fast ones overtake each other. */
const MOST_DELAY_MS = 4;
/** The time is cut into so many parts; the first and the last are compared. */
const PARTS = 6;

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
const seconds = (Number(values.minutes) * 60) / TRANSPORTS.length / PARTS;
if (!(seconds > 0)) throw new Error(`--minutes ${values.minutes}: not a number of minutes`);

const line = (cells: readonly (string | number)[]) =>
  console.log(
    cells.map((cell, i) => (i === 0 ? String(cell).padEnd(12) : String(cell).padStart(12))).join(""),
  );
const cellsOf = ({ rssMiB, threads, descriptors }: Usage) => [rssMiB, threads, descriptors];

await interruptible("bench", async (signal) => {
  line(["", "reads/s", "MiB", "threads", "descriptors"]);
  for (const transport of TRANSPORTS) {
    await using mounted = await Mounted.start(transport, MOST_DELAY_MS);
    line([transport, "", ...cellsOf(await mounted.usage())]);
    for (let part = 1; part <= PARTS; part++) {
      const work = await mounted.load("random", seconds, signal);
      line([
        `${Math.round(part * seconds)} s`,
        Math.round(work.count / work.seconds),
        ...cellsOf(await mounted.usage()),
      ]);
    }
  }
});
