/** Finds the commands in the tokens of a GRUB script, whether or not its syntax is right. */
import type { Token } from "./grub-tokens.ts";

export interface Command {
  readonly line: number;
  /** Without quotes. `}` is a command of its own, and so are the keywords that precede another command. */
  readonly words: readonly string[];
  /** Whether a block begins after it. */
  readonly opens: boolean;
  /** Whether nothing but a semicolon is between it and the command before: `a;b`. */
  readonly isJoined: boolean;
}

/** Operators and line ends end a command. */
export function* commandsOf(tokens: readonly Token[]): Generator<Command> {
  let begun: Token | undefined;
  let words: string[] = [];
  let semicolon: Token | undefined;
  for (const token of tokens) {
    const { kind, text, line } = token;
    if (kind === "word") {
      begun ??= token;
      words.push(text);
      if (!/^(then|else|do)$/.test(text) || words.length > 1) continue;
    }
    if (begun !== undefined) {
      const isJoined = semicolon?.isJoined === true && begun.isJoined;
      yield { line: begun.line, words, opens: text === "{", isJoined };
    }
    if (text === "}") yield { line, words: ["}"], opens: false, isJoined: false };
    semicolon = text === ";" ? token : undefined;
    begun = undefined;
    words = [];
  }
}
