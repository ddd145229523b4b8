/** The form of a check, and how all of them run: each within a limit, and none blocks the others. */
import { messageOf } from "../errors.ts";
import type { Context } from "./context.ts";

/** `warn`: it may work anyway, or the result is unknown; `fail`: it will not work. */
export type Level = "ok" | "warn" | "fail";

export interface Finding {
  readonly level: Level;
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** Examines, and changes nothing. */
export interface Check {
  readonly name: string;
  /** A finding for each thing that it has examined; none if it does not apply. An exception is a failure. */
  run(context: Context): Promise<readonly Finding[]>;
}

/** A finding, with its check. */
export interface Examined extends Finding {
  readonly check: string;
}

/** Milliseconds: the longest way is to a canister, a few requests of five seconds each. */
const LIMIT_MS = 15_000;

export function ok(message: string): Finding {
  return { level: "ok", message };
}

export function warn(message: string, advice: string): Finding {
  return { level: "warn", message, advice };
}

export function fail(message: string, advice?: string): Finding {
  return { level: "fail", message, ...(advice === undefined ? {} : { advice }) };
}

/** Runs all checks at once, and returns their findings in order. @param limit milliseconds for each */
export async function* examine(
  checks: readonly Check[],
  context: Context,
  limit = LIMIT_MS,
): AsyncGenerator<Examined> {
  const found = checks.map((check) => ({ check: check.name, findings: bounded(check, context, limit) }));
  for (const { check, findings } of found) {
    for (const finding of await findings) yield { check, ...finding };
  }
}

/** Never rejects. */
async function bounded(check: Check, context: Context, limit: number): Promise<readonly Finding[]> {
  const { promise: late, resolve } = Promise.withResolvers<readonly Finding[]>();
  const timer = setTimeout(() => resolve([fail(`no answer within ${limit / 1000} s`)]), limit);
  try {
    return await Promise.race([check.run(context), late]);
  } catch (error) {
    return [fail(messageOf(error))];
  } finally {
    clearTimeout(timer);
  }
}
