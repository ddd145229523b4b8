/**
 * The command line that runs a program without the modules that tap makes every Node load. They write where some users cannot, are
 * missing for processes that see other files, and break tools such as npm and tsc. tap adds them to any environment that a child
 * gets.
 */
export function plain(program: string, args: readonly string[]): [string, string[]] {
  return ["/usr/bin/env", ["-u", "NODE_OPTIONS", program, ...args]];
}
