/** An error that the user can do something about: its message is the whole story and says what to do next. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** Bytes that came from elsewhere are not what they should be. */
export class FormatError extends Error {
  override readonly name = "FormatError";
}

/** The message of anything thrown. Never the object itself: the agent's errors carry whole certificates. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UserError) return error.message;
  // fetch() says only "fetch failed"; why is in the cause.
  const cause = error.cause instanceof Error ? error.cause : undefined;
  const text = cause !== undefined && error.message === "fetch failed" ? causeMessage(cause) : error.message;
  return text.split("\n")[0]!.slice(0, 500);
}

function causeMessage(cause: Error): string {
  // Happy eyeballs: one error an address, and an empty message.
  if (cause instanceof AggregateError && cause.errors.length > 0) return messageOf(cause.errors[0]);
  return cause.message;
}
