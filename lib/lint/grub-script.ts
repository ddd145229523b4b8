/** Parses GRUB's shell just far enough to find the commands of a script (GRUB's manual, "Writing full configuration files"). */

export interface Command {
  readonly line: number;
  /** Without quotes. `}` is a command of its own. */
  readonly words: readonly string[];
  /** Whether a block begins after it. */
  readonly opens: boolean;
}

/** Braces, semicolons and line ends end a command. */
export function* commandsOf(lines: readonly string[]): Generator<Command> {
  let words: string[] = [];
  let begun = 1;
  let word: string | undefined;
  let quote = "";
  const endCommand = function* (line: number, opens = false): Generator<Command> {
    if (word !== undefined) words.push(word);
    word = undefined;
    // Keywords that precede a command.
    const at = words.findIndex((one) => !/^(then|else|do)$/.test(one));
    for (const one of words.slice(0, Math.max(at, 0))) yield { line: begun, words: [one], opens: false };
    const command = words.slice(Math.max(at, 0));
    if (command.length > 0) yield { line: begun, words: command, opens };
    words = [];
    begun = line;
  };
  for (const [index, text] of lines.entries()) {
    const line = index + 1;
    if (words.length === 0 && word === undefined) begun = line;
    let isContinued = false;
    for (let at = 0; at < text.length; at++) {
      const char = text[at]!;
      if (char === "\\" && quote !== "'") {
        isContinued = at === text.length - 1;
        const next = text[at + 1] ?? "";
        if (quote === "" || /["$\\]/.test(next)) at += 1;
        if (!isContinued) word = (word ?? "") + text[at]!;
      } else if (quote !== "") {
        if (char === quote) quote = "";
        else word = (word ?? "") + char;
      } else if (char === "'" || char === '"') {
        quote = char;
        word ??= "";
      } else if (char === "#" && word === undefined) break;
      else if (/\s/.test(char)) {
        if (word !== undefined) words.push(word);
        word = undefined;
      } else if (char === ";") yield* endCommand(line);
      else if (char === "{" && !word?.endsWith("$")) yield* endCommand(line, true);
      else if (char === "}" && !/\$\{\w*$/.test(word ?? "")) {
        yield* endCommand(line);
        yield { line, words: ["}"], opens: false };
      } else word = (word ?? "") + char;
    }
    if (quote === "" && !isContinued) yield* endCommand(line + 1);
  }
}
