import t from "tap";
import { createProgress } from "../../lib/publish/progress.ts";
import { stillClock } from "../support/clock.ts";

/** A stream that is not a terminal, and what is written to it. */
function stream(): { stream: NodeJS.WriteStream; written: string[] } {
  const written: string[] = [];
  return { written, stream: { isTTY: false, write: (text: string) => written.push(text) } as never };
}

t.test("without a terminal, each stage gets a line, and another now and then", async (t) => {
  const advance = stillClock(t);
  const { stream: output, written } = stream();
  const progress = createProgress(output);
  progress.start("hashing", 3_000_000);
  for (let i = 0; i < 10; i++) progress.add(100_000);
  advance(60_000);
  progress.add(500_000);
  progress.add(500_000);
  progress.stop();
  progress.start("uploading", 0);
  progress.stop();
  progress.start("listing", undefined);
  progress.add(1);
  progress.stop();
  progress.start("listing", undefined);
  progress.add(1000);
  advance(60_000);
  progress.add(1);
  progress.stop();
  t.same(written, [
    "hashing: 3.0 MB\n",
    "hashing: 1.5 MB of 3.0 MB\n",
    "uploading: 0.0 kB\n",
    "listing: 1001 names\n",
  ]);
});
