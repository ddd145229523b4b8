/** How an error that ends a program is reported. */
import { messageOf } from "../errors.ts";
import { oneLine } from "../log.ts";

/** The error for people, in lines that are safe for a terminal. */
export function describe(error: unknown): string {
  const text = isBug(error) ? `unexpected error, please report it: ${error.stack}` : messageOf(error);
  return text.split("\n").map(oneLine).join("\n");
}

/** Errors of the language itself are bugs, so their stack is shown. */
export function isBug(error: unknown): error is Error {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
}
