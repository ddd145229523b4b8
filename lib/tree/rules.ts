/**
 * The rules a path and a symlink must keep (docs/PROTOCOL.md, "Paths"). The canister enforces them when a release is
 * published (canister/paths.mo is this module's twin); readers check again, because a canister is not trusted: a
 * link to /etc/shadow would make the host's TFTP server hand it out.
 */

import { MAX_COMPONENT_BYTES, MAX_HOPS, MAX_PATH_BYTES } from "./limits.ts";

/** What stands at a path, as far as following a symlink needs to know. */
export type LinkStep = "directory" | "file" | { readonly target: string };

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** What is wrong with `path`, or undefined. */
export function pathProblem(path: string): string | undefined {
  if (path === "") return "the path is empty";
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `the path is longer than ${MAX_PATH_BYTES} bytes`;
  if (CONTROL.test(path)) return "the path has a control character";
  if (path.startsWith("/")) return "the path is absolute";
  for (const component of path.split("/")) {
    if (component === "") return "the path has an empty component";
    if (component === "." || component === "..") return "the path has a component . or ..";
    if (Buffer.byteLength(component) > MAX_COMPONENT_BYTES) {
      return `the path has a component longer than ${MAX_COMPONENT_BYTES} bytes`;
    }
  }
  return undefined;
}

/** The directory that holds `path`; "" is the root. */
export function parentPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** The last component of `path`. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What checking a tree's links may cost, in all: characters of the paths that are looked up and the targets that are read. */
export interface LinkBudget {
  characters: number;
}

/**
 * Enough for 100,000 links of ten components each, through directories with names of 200 characters in all, and less
 * than a second's work. Links made to be slow could ask for 10^12.
 */
export const LINK_CHARACTERS = 200_000_000;

/** Where a symlink leads in its tree ("" is the root), or why nowhere; `leaves` when that may be outside. */
export type Followed = { readonly path: string } | { readonly problem: string; readonly leaves: boolean };

/**
 * What is wrong with the symlink at `path` that points to `target`, or undefined.
 *
 * @param lookup what stands at a path of the tree, never called with "" (the root)
 * @param budget for all links of the tree together
 */
export function linkProblem(
  path: string,
  target: string,
  lookup: (path: string) => LinkStep | undefined,
  budget?: LinkBudget,
): string | undefined {
  const found = followLink(path, target, lookup, budget);
  return "problem" in found ? found.problem : undefined;
}

/**
 * Follows the symlink at `path` that points to `target`, as the kernel does, component by component and through other
 * links: a look at the text alone would let `p/q/r/up/../outside` pass where `up` points to `../../..`.
 *
 * @param lookup what stands at a path of the tree, never called with "" (the root)
 * @param budget for all links of the tree together
 */
export function followLink(
  path: string,
  target: string,
  lookup: (path: string) => LinkStep | undefined,
  budget: LinkBudget = { characters: LINK_CHARACTERS },
): Followed {
  if (target === "") return inside("the symlink's target is empty");
  if (Buffer.byteLength(target) > MAX_PATH_BYTES)
    return inside(`the symlink's target is longer than ${MAX_PATH_BYTES} bytes`);
  if (CONTROL.test(target)) return inside("the symlink's target has a control character");
  if (target.startsWith("/")) return outside("the symlink is absolute");
  let hops = 1;
  let current = parentPath(path);
  // What is left to walk, the next component last.
  const pending = target.split("/").reverse();
  for (let component = pending.pop(); component !== undefined; component = pending.pop()) {
    budget.characters -= 1 + current.length + component.length;
    if (budget.characters < 0) return inside("the symlinks take too many steps to follow");
    if (component === "" || component === ".") continue;
    if (component === "..") {
      if (current === "") return outside("the symlink leaves the tree");
      current = parentPath(current);
      continue;
    }
    const next = current === "" ? component : `${current}/${component}`;
    const found = lookup(next);
    if (found === undefined) return inside(`the symlink leads to ${next}, which is not in the tree`);
    if (found === "directory") {
      current = next;
    } else if (found === "file") {
      if (pending.length > 0) return inside(`the symlink goes through ${next}, which is a file`);
      current = next;
    } else {
      hops += 1;
      if (hops > MAX_HOPS) return inside(`the symlink takes more than ${MAX_HOPS} hops`);
      if (found.target.startsWith("/")) return outside("the symlink leads to an absolute one");
      // Read again each time that a link leads here, even if what comes next ends the walk.
      budget.characters -= found.target.length;
      pending.push(...found.target.split("/").reverse());
    }
  }
  return { path: current };
}

function inside(problem: string): Followed {
  return { problem, leaves: false };
}

function outside(problem: string): Followed {
  return { problem, leaves: true };
}
