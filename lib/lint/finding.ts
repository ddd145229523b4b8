/** What `icfs lint` finds in a tree: something that keeps a machine from booting, or lets it boot something else. */

export type FindingKind =
  | "missing-module"
  | "foreign-module"
  | "missing-file"
  | "missing-include"
  | "missing-config"
  | "config-name"
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
  /** From 1; undefined where the finding is about the file as a whole. */
  readonly line: number | undefined;
  /** What is wrong, as a sentence without a full stop. */
  readonly problem: string;
  /** What a machine does that boots from it. */
  readonly outcome: string;
  /** What to do about it. */
  readonly advice: string;
}

/** Nobody reads more: when there are so many, configurations are not read on. */
export const MAX_FINDINGS = 2000;

/** Where and what, in a line. */
export function findingLine({ kind, file, line, problem }: Finding): string {
  const place = line === undefined ? file : `${file}:${line}`;
  return `${place}: ${problem} [${kind}]`;
}

/** A name from a configuration, of which a finding can be made: whoever wrote it may have meant to write to a terminal. */
export function quoted(name: string): string {
  const shown = name.replaceAll(/\p{C}/gu, "\u{fffd}");
  return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
}

/** Two lines: where and what; what a machine does and what to do. */
export function describeFinding(finding: Finding): string {
  return `${findingLine(finding)}\n    ${finding.outcome}. ${finding.advice}.`;
}
