/** Takes a lock, says so, and keeps it until it is killed: `lock-holder.ts FILE`. */
import { withLock } from "../lib/lock.ts";

await withLock(process.argv[2]!, async () => {
  console.log("has it");
  await new Promise((resolve) => setTimeout(resolve, 600_000));
});
