/**
 * The command line that runs a program without what tap has every Node load: it writes where some may not, is not there for who has
 * other files, and keeps tools such as npm and tsc from working. tap puts it back into whatever environment a child is given.
 */
export function plain(program: string, args: readonly string[]): [string, string[]] {
  return ["/usr/bin/env", ["-u", "NODE_OPTIONS", program, ...args]];
}
