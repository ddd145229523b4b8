/**
 * Checks the syntax of a GRUB script (grub-core/script/parser.y). GRUB's shell looks like other shells, but it has no pipes, no
 * redirections, no `&`, `&&` and `||`, and no empty blocks.
 */
import { quoted } from "./finding.ts";
import type { Token } from "./grub-tokens.ts";

export interface SyntaxProblem {
  readonly line: number;
  /** A sentence without a full stop, whose subject is the line. */
  readonly problem: string;
  readonly advice: string;
}

/** Words that can be arguments, but not commands. */
const NO_COMMANDS = /^(case|do|done|elif|else|esac|fi|function|in|select|then)$/;
/** Words that can be neither, unless they are quoted. */
const NO_WORDS = /^(\[\[|\]\])$/;
const CLOSING = new Map([
  ["{", "}"],
  ["if", "fi"],
  ["for", "done"],
  ["while", "done"],
  ["until", "done"],
]);
const TOO_EARLY = "ends too early";
/** Nobody nests more blocks. */
const MAX_DEPTH = 200;

/**
 * Returns the first problem; undefined if there is none, or if blocks are nested too deeply to tell.
 *
 * @param tokens of the whole script
 */
export function syntaxProblemIn(tokens: readonly Token[]): SyntaxProblem | undefined {
  try {
    new Parser(tokens).script();
    return undefined;
  } catch (error) {
    if (error instanceof SyntaxFault) return error.found;
    throw error;
  }
}

class SyntaxFault extends Error {
  readonly found: SyntaxProblem | undefined;

  constructor(found?: SyntaxProblem) {
    super("this is not a GRUB script");
    this.found = found;
  }
}

/** Descends recursively: a method for each rule of the grammar, which passes what the rule describes, or throws SyntaxFault. */
class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  /** Braces and keywords that are not closed yet, the innermost last. */
  readonly #open: Token[] = [];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  script(): void {
    this.#lineEnds();
    while (this.#at < this.#tokens.length) {
      if (this.#word() === "function") this.#function();
      else this.#command();
      this.#check(this.#delimiters());
    }
  }

  #function(): void {
    this.#at += 1;
    this.#name();
    this.#lineEnds();
    this.#check(this.#operator() === "{");
    this.#begin();
    this.#delimited();
    this.#end();
  }

  #command(): void {
    const word = this.#word();
    if (word === "if") this.#if();
    else if (word === "for") this.#for();
    else if (word === "while" || word === "until") this.#while();
    else {
      this.#check(!NO_COMMANDS.test(word ?? "") && this.#words());
      if (this.#operator() === "{") this.#block();
    }
  }

  #if(): void {
    this.#begin();
    do {
      this.#delimited();
      this.#keyword("then");
      this.#delimited();
    } while (this.#optional("elif"));
    if (this.#optional("else")) this.#delimited();
    this.#end();
  }

  #for(): void {
    this.#begin();
    this.#name();
    this.#keyword("in");
    this.#words();
    this.#check(this.#delimiters());
    this.#keyword("do");
    this.#delimited();
    this.#end();
  }

  #while(): void {
    this.#begin();
    this.#delimited();
    this.#keyword("do");
    this.#delimited();
    this.#end();
  }

  #block(): void {
    this.#begin();
    this.#commands();
    this.#end();
  }

  #delimited(): void {
    this.#check(this.#commands());
  }

  /** At least one command. Returns whether a delimiter follows the last one. */
  #commands(): boolean {
    this.#lineEnds();
    do {
      this.#command();
      if (!this.#delimiters()) return false;
    } while (
      this.#at < this.#tokens.length &&
      this.#operator() !== "}" &&
      !NO_COMMANDS.test(this.#word() ?? "")
    );
    return true;
  }

  /** Returns whether there is one at least. */
  #words(): boolean {
    const from = this.#at;
    while (this.#tokens[this.#at]?.kind === "word" && !NO_WORDS.test(this.#word() ?? "")) this.#at += 1;
    return this.#at > from;
  }

  #name(): void {
    const word = this.#word() ?? "";
    this.#check(/^[A-Za-z_]\w*$/.test(word) && !NO_COMMANDS.test(word) && !CLOSING.has(word));
    this.#at += 1;
  }

  /** A semicolon or line end, and more line ends. Returns whether there is one at least. */
  #delimiters(): boolean {
    if (this.#operator() === ";") this.#at += 1;
    else if (this.#operator() !== "\n") return false;
    this.#lineEnds();
    return true;
  }

  #lineEnds(): void {
    while (this.#operator() === "\n") this.#at += 1;
  }

  #begin(): void {
    if (this.#open.length === MAX_DEPTH) throw new SyntaxFault();
    this.#open.push(this.#tokens[this.#at]!);
    this.#at += 1;
  }

  #end(): void {
    const closing = CLOSING.get(this.#open.at(-1)!.text);
    this.#check(this.#word() === closing || this.#operator() === closing);
    this.#open.pop();
    this.#at += 1;
  }

  #keyword(expected: string): void {
    this.#check(this.#optional(expected));
  }

  #optional(keyword: string): boolean {
    if (this.#word() !== keyword) return false;
    this.#at += 1;
    return true;
  }

  /** The next word, if it may be a keyword. */
  #word(): string | undefined {
    const token = this.#tokens[this.#at];
    return token?.kind === "word" && token.isBare ? token.text : undefined;
  }

  #operator(): string | undefined {
    const token = this.#tokens[this.#at];
    return token?.kind === "operator" ? token.text : undefined;
  }

  #check(isRight: boolean): void {
    if (isRight) return;
    const next = this.#tokens[this.#at];
    const open = this.#open.at(-1);
    if (next === undefined) throw new SyntaxFault(unclosed(open ?? this.#tokens.at(-1)!));
    throw new SyntaxFault(wrong(next, open !== undefined));
  }
}

function unclosed({ text, line }: Token): SyntaxProblem {
  const closing = CLOSING.get(text);
  return {
    line,
    problem: closing === undefined ? TOO_EARLY : `has "${text}" without its "${closing}"`,
    advice: "Look for the missing end in the lines below",
  };
}

/** @param isInside whether it is within a block or a condition */
function wrong({ kind, text, line }: Token, isInside: boolean): SyntaxProblem {
  const toQuote = "If it belongs to a word, put the word in single quotes";
  if (kind === "unclosed quote")
    return { line, problem: "has a quote that is never closed", advice: "Close it" };
  if (kind === "lone dollar") return { line, problem: 'has a "$" without a variable', advice: toQuote };
  if (text === "\n") return { line, problem: TOO_EARLY, advice: "Complete the command" };
  if (kind === "operator" && /^[&|<>]/.test(text)) {
    const problem = `has ${text} outside quotes, which means nothing to GRUB`;
    return { line, problem, advice: `${toQuote}. For conditions, GRUB has "if"` };
  }
  return {
    line,
    problem: `has "${quoted(text)}" where GRUB expects something else`,
    advice: isInside ? 'If the block is empty, write "true" in it' : "Correct it",
  };
}
