/** Resources that end with a test, in reverse order. */
import type { Test } from "tap";

/**
 * A stack that is disposed of when the test ends. Not `await using`: a test that times out never leaves its block.
 *
 * When several resources fail to end, the test reports each error.
 */
export function stackOf(t: Pick<Test, "teardown">): AsyncDisposableStack {
  const stack = new AsyncDisposableStack();
  t.teardown(() =>
    stack.disposeAsync().catch((error: unknown) => {
      throw error instanceof SuppressedError ? new Error(messages(error).join("\nand before it: ")) : error;
    }),
  );
  return stack;
}

/** The messages of an error and of those that it suppressed, the newest first. */
function messages(error: unknown): string[] {
  if (error instanceof SuppressedError) return [...messages(error.error), ...messages(error.suppressed)];
  return [error instanceof Error ? error.message : String(error)];
}
