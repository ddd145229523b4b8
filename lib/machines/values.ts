/** The value of a variable: any JSON value. */

export type Value = null | boolean | number | string | readonly Value[] | { readonly [name: string]: Value };

/** A variable, as a file gives it. */
export interface Given {
  readonly value: Value;
  /** From 1. */
  readonly line: number;
}

/** By their names. */
export type Variables = ReadonlyMap<string, Given>;

/** The only names that templates can use. */
const NAME = /^[A-Za-z_][\w-]*$/;
/** Names that every machine has. */
const OWN_NAMES = new Set(["mac", "mac_dashes", "mac_bare", "name", "group"]);

/** What is wrong with a variable's name; undefined if nothing is. */
export function nameProblem(name: string): string | undefined {
  if (OWN_NAMES.has(name))
    return `every machine has a ${name} of its own, so no variable can be called that: choose another name`;
  if (NAME.test(name)) return undefined;
  if (name === "<<")
    return '"<<" is not a name for a variable, and YAML 1.2 merges nothing: put what machines share into a group';
  return `${JSON.stringify(name)} is not a name for a variable: use letters, digits, _ and -, with no digit or - first`;
}

/**
 * Interprets a text without quotes: true, false, a number, or text. A number that JavaScript would print in another way (1.10,
 * 0x10, 007) stays text, so that templates print it as it was written.
 */
export function plainValue(text: string): boolean | number | string {
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && String(Number(text)) === text && Number.isFinite(Number(text)) ? Number(text) : text;
}
