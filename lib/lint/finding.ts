/** A finding of `icfs lint`: something that keeps a machine from booting, or makes it boot something else. */

export type FindingKind =
  | "missing-module"
  | "foreign-module"
  | "missing-file"
  | "missing-include"
  | "missing-config"
  | "config-name"
  | "syntax"
  | "empty-file"
  | "broken-image"
  | "kernel-modules"
  | "wrong-architecture"
  | "unsigned"
  | "name";

export interface Finding {
  readonly kind: FindingKind;
  /** Relative to the tree's root, with `/`. */
  readonly file: string;
  /** From 1; undefined where the finding concerns the whole file. */
  readonly line: number | undefined;
  /** What is wrong, as a sentence without a full stop. */
  readonly problem: string;
  /** What a machine that boots from it does. */
  readonly outcome: string;
  /** What to do about it. */
  readonly advice: string;
  /** For a file that was generated for a machine (`icfs publish --machines`): the names of the machine and the template. */
  readonly machine?: string;
  readonly template?: string;
}

/** Nobody reads more: after this many, no further configurations are read. */
export const MAX_FINDINGS = 2000;

/** The place and the problem in one line. */
export function findingLine({ kind, file, line, problem, machine, template }: Finding): string {
  const place = line === undefined ? file : `${file}:${line}`;
  const made = machine === undefined ? "" : ` (of the template ${template}, for ${machine})`;
  return `${place}: ${problem} [${kind}]${made}`;
}

/** A name from a configuration, safe to print: its author may have tried to control a terminal. */
export function quoted(name: string): string {
  const shown = name.replaceAll(/\p{C}/gu, "\u{fffd}");
  return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
}

/** Two lines: the place and the problem; what a machine does and what to do. */
export function describeFinding(finding: Finding): string {
  return `${findingLine(finding)}\n    ${finding.outcome}. ${finding.advice}.`;
}
