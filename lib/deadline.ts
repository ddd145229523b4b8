/** Deadlines for promises. */

/** The longest that Node's timers can wait, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Waits for `work` until a deadline. The work itself continues after that.
 *
 * @param deadline by performance.now(); infinite: no end
 * @param message of the Error with which it rejects after the deadline
 */
export async function before<T>(deadline: number, work: Promise<T>, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const left = deadline - performance.now();
    if (left <= LONGEST_MS) timer = setTimeout(() => reject(new Error(message)), Math.max(0, left));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
