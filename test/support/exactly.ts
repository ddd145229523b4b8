/**
 * A pattern for t.match(): a list of as many items, each of which matches. (To tap, a list in a pattern matches any list that begins with the
 * same items, and an empty one matches every list.)
 */
export function exactly(...items: readonly unknown[]): Record<string, unknown> {
  return { ...items, length: items.length };
}
