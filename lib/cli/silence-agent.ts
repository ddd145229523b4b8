/** What the programs say on stderr is theirs alone. */

/**
 * Silences console.warn, which nothing of ours calls, for the whole process: so only a program may do it, as it starts. When
 * @dfinity/agent (3.4.3, canisterStatus) cannot get the keys by which nodes sign, it prints why, stacks and certificates included, and
 * throws an error as well. It does so within HttpAgent.query(), where no option reaches. Its successor, @icp-sdk/core, prints nothing.
 */
export function silenceAgent(): void {
  console.warn = () => {};
}
