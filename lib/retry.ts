/** Retries, with pauses that double. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Retries {
  /** Milliseconds before the second attempt. */
  readonly firstPause: number;
  /** Milliseconds up to which the pauses double. */
  readonly longestPause: number;
  /** Whether to try again after `error`, which ended attempt number `attempts` (from 1). The next would begin in `pause` milliseconds. */
  readonly again: (error: unknown, attempts: number, pause: number) => boolean;
  /** The shortest pause that `error` asks for, in milliseconds. Default: none. */
  readonly leastPause?: (error: unknown) => number;
  /** Ends a pause, and with it all attempts. */
  readonly signal?: AbortSignal;
}

/** The result of the first successful `attempt`. @throws what the last attempt threw; AbortError */
export async function retrying<T>(attempt: () => Promise<T>, retries: Retries): Promise<T> {
  let length = retries.firstPause;
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      // Jitter, so that a rack of hosts (or parallel uploads) do not all retry at once, not even after the same Retry-After.
      const least = (retries.leastPause?.(error) ?? 0) * (1 + Math.random() / 2);
      const pause = Math.max(least, length * (0.5 + Math.random()));
      if (!retries.again(error, attempts, pause)) throw error;
      await sleep(pause, undefined, { signal: retries.signal });
      length = Math.min(2 * length, retries.longestPause);
    }
  }
}
