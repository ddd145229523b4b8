/** Splits a script of GRUB's shell into tokens, as GRUB's own lexer does (grub-core/script/yylex.l). */

export interface Token {
  /** The last two are errors, and the script's last token. */
  readonly kind: "word" | "operator" | "unclosed quote" | "lone dollar";
  /** A word is without quotes and escapes. */
  readonly text: string;
  /** Whether a word has no quotes, escapes and variables: only then can it be a keyword or a name. */
  readonly isBare: boolean;
  /** Where the token begins, from 1. */
  readonly line: number;
  /** Whether it follows the token before it without a blank. */
  readonly isJoined: boolean;
}

const BLANK = /(?:[ \t]|\\\n)+/y;
const COMMENT = /#.*/y;
const OPERATOR = /\|\||&&|;;|[{}|&;<>\n]/y;
const PLAIN = /[^{}|&$;<> \t\n'"\\]+/y;
const ESCAPED = /\\(.)/sy;
const SINGLE_QUOTED = /'([^']*)'/y;
/** A `$` in front means that the text is to be translated; such a text has no variables. */
const DOUBLE_QUOTED = /(\$?)"((?:[^\\"]|\\.)*)"/sy;
const VARIABLE = /\$(?:[A-Za-z_]\w*|\d+|[?#*@]|\{(?:[A-Za-z_]\w*|\d+|[?#*@])\})/y;
const VARIABLES = new RegExp(VARIABLE, "g");
/** Within double quotes, a backslash before other characters is a character itself. */
const ESCAPED_IN_QUOTES = /\\(["$\\\n])/g;

interface Part {
  readonly text: string;
  readonly isBare: boolean;
}

/** Ends of lines are operators. */
export function* tokensOf(lines: readonly string[]): Generator<Token> {
  // GRUB leaves out lines that begin with # before it looks for quotes (grub-core/normal/main.c).
  const kept = lines
    .map((text, index) => ({ text, line: index + 1 }))
    .filter(({ text }) => !text.startsWith("#"));
  const script = kept.map(({ text }) => `${text}\n`).join("");
  let at = 0;
  let row = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(script);
    if (found === null) return undefined;
    at = pattern.lastIndex;
    row += found[0].split("\n").length - 1;
    return found;
  };
  /** A part of a word, or an error in it. */
  const part = (): Part | "unclosed quote" | "lone dollar" | undefined => {
    const plain = take(PLAIN);
    if (plain !== undefined) return { text: plain[0], isBare: true };
    const literal = take(ESCAPED) ?? take(SINGLE_QUOTED);
    if (literal !== undefined) return { text: literal[1] === "\n" ? "" : literal[1]!, isBare: false };
    const variable = take(VARIABLE);
    if (variable !== undefined) return { text: variable[0], isBare: false };
    const quoted = take(DOUBLE_QUOTED);
    if (quoted === undefined) {
      if (/['"]/.test(script[at]!) || script.startsWith('$"', at)) return "unclosed quote";
      return script[at] === "$" ? "lone dollar" : undefined;
    }
    const [, dollar, text = ""] = quoted;
    if (dollar === "" && hasLoneDollar(text)) return "lone dollar";
    return {
      text: text.replaceAll(ESCAPED_IN_QUOTES, (_, char) => (char === "\n" ? "" : char)),
      isBare: false,
    };
  };
  for (;;) {
    const isJoined = take(BLANK) === undefined;
    if (at === script.length) return;
    if (take(COMMENT) !== undefined) continue;
    const { line } = kept[row]!;
    const operator = take(OPERATOR);
    if (operator !== undefined) {
      yield { kind: "operator", text: operator[0], isBare: true, line, isJoined };
      continue;
    }
    let text = "";
    let isBare = true;
    let next = part();
    for (; typeof next === "object"; next = part()) {
      text += next.text;
      isBare &&= next.isBare;
    }
    if (next !== undefined) {
      yield { kind: next, text, isBare, line: kept[row]?.line ?? line, isJoined };
      return;
    }
    yield { kind: "word", text, isBare, line, isJoined };
  }
}

function hasLoneDollar(quoted: string): boolean {
  return quoted.replaceAll(/\\./gs, "").replaceAll(VARIABLES, "").includes("$");
}
