/** An error that the user can do something about: its message is the whole story and says what to do next. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** Wrong usage: arguments, options or variables that cannot be meant, whatever this host and the network are like. */
export class UsageError extends UserError {}

/** Bytes that came from elsewhere are not what they should be. */
export class FormatError extends Error {
  override readonly name = "FormatError";
}

/** Whether a call to the file system failed because there is no such file or directory. */
export function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

/** The message of anything thrown. Never the object itself: the agent's errors carry whole certificates. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UserError) return error.message;
  // Happy eyeballs: one error an address, and an empty message.
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error.message.split("\n")[0]!.slice(0, 500);
}
