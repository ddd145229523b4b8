/** What a check is, and how all of them are made: each within a limit, and none keeps the others from being made. */
import { messageOf } from "../errors.ts";
import type { Context } from "./context.ts";

/** `warn`: it may do without, or it cannot be known; `fail`: it will not work. */
export type Level = "ok" | "warn" | "fail";

export interface Finding {
  readonly level: Level;
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** Looks, and changes nothing. */
export interface Check {
  readonly name: string;
  /** A finding for each thing it has looked at; none where the question does not arise. What it throws is a failure. */
  run(context: Context): Promise<readonly Finding[]>;
}

/** A finding, and of which check. */
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

/** Makes all checks at once, and gives what they find in their order. @param limit milliseconds for each */
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
