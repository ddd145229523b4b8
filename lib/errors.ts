/** An error that the user can do something about: its message is complete and says what to do next. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** Wrong usage: arguments, options or variables that are wrong on any host and network. */
export class UsageError extends UserError {}

/** Bytes from elsewhere are malformed. */
export class FormatError extends Error {
  override readonly name = "FormatError";
}

/** Whether a call to the file system failed because there is no such file or directory. */
export function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

/** The message of anything thrown: of a UserError all of it, of others one line of at most 500 characters. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UserError) return error.message;
  // Node tries all addresses of a name ("happy eyeballs"): the error for all of them has no message of its own.
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error.message.split("\n")[0]!.slice(0, 500);
}
