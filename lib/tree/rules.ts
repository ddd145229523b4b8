/**
 * The rules for paths and symlinks (docs/PROTOCOL.md, "Paths"). The canister enforces them when a release is
 * published (canister/paths.mo has the same code); readers check again, because a canister is not trusted: with a
 * link to /etc/shadow, the host's TFTP server would serve that file.
 */

import { MAX_COMPONENT_BYTES, MAX_HOPS, MAX_LINK_WORK, MAX_PATH_BYTES } from "./limits.ts";

/** What is at a path, as far as following a symlink needs to know. */
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

/** At the top of a release's tree, this name is reserved for the canister's own URLs /.icfs/... (docs/PROTOCOL.md, "HTTP"). */
const RESERVED_NAME = ".icfs";

/** What is wrong with a path in a release, in addition to pathProblem(), or undefined. */
export function reservedProblem(path: string): string | undefined {
  if (path !== RESERVED_NAME) return undefined;
  return "this name at the top of a tree is the canister's own: rename it, or leave it out";
}

/** The directory that holds `path`; "" is the root. */
export function parentPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** The last component of `path`. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What checking a tree's links may still cost in total. Once `left` is below 0, no more links are followed. */
export interface LinkBudget {
  /** Bytes of targets that are read, and of the directories' paths in which components are looked up. */
  left: number;
  /** The cost of a component in addition to these bytes. */
  readonly component: number;
}

/**
 * The budget of a reader: enough for 100,000 links of ten components each, through directories with names of 150 bytes in all, and less
 * than a second's work. A tree that a canister has accepted never exceeds it.
 */
export function readersBudget(): LinkBudget {
  return { left: MAX_LINK_WORK, component: 2 };
}

/** The budget for a tree that is to be published, which is the canister's: a component costs the canister more (canister/paths.mo). */
export function canistersBudget(): LinkBudget {
  return { left: MAX_LINK_WORK, component: 1000 };
}

/** Where a symlink leads in its tree ("" is the root), or why it leads nowhere; `leaves` if it would lead outside the tree. */
export type Followed = { readonly path: string } | { readonly problem: string; readonly leaves: boolean };

/**
 * What is wrong with the symlink at `path` that points to `target`, or undefined.
 *
 * @param lookup what is at a path of the tree, never called with "" (the root)
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
 * links. A check of the text alone would accept `p/q/r/up/../outside` even if `up` points to `../../..`.
 *
 * @param lookup what is at a path of the tree, never called with "" (the root)
 * @param budget for all links of the tree together
 */
export function followLink(
  path: string,
  target: string,
  lookup: (path: string) => LinkStep | undefined,
  budget: LinkBudget = readersBudget(),
): Followed {
  if (target === "") return inside("the symlink's target is empty");
  if (Buffer.byteLength(target) > MAX_PATH_BYTES)
    return inside(`the symlink's target is longer than ${MAX_PATH_BYTES} bytes`);
  if (CONTROL.test(target)) return inside("the symlink's target has a control character");
  if (target.startsWith("/")) return outside("the symlink is absolute");
  const spend = (bytes: number) => {
    budget.left -= bytes;
    return budget.left >= 0;
  };
  if (!spend(Buffer.byteLength(target))) return TOO_SLOW;
  let hops = 1;
  let current = parentPath(path);
  let currentBytes = Buffer.byteLength(current);
  const enter = (directory: string) => {
    current = directory;
    currentBytes = Buffer.byteLength(directory);
  };
  // The components left to walk, the next one last.
  const pending = target.split("/").reverse();
  for (let component = pending.pop(); component !== undefined; component = pending.pop()) {
    if (!spend(budget.component + currentBytes)) return TOO_SLOW;
    if (component === "" || component === ".") continue;
    if (component === "..") {
      if (current === "") return outside("the symlink leaves the tree");
      enter(parentPath(current));
      continue;
    }
    const next = current === "" ? component : `${current}/${component}`;
    const found = lookup(next);
    if (found === undefined) return inside(`the symlink leads to ${next}, which is not in the tree`);
    if (found === "directory") {
      enter(next);
    } else if (found === "file") {
      if (pending.length > 0) return inside(`the symlink goes through ${next}, which is a file`);
      enter(next);
    } else {
      hops += 1;
      if (hops > MAX_HOPS) return inside(`the symlink takes more than ${MAX_HOPS} hops`);
      if (found.target.startsWith("/")) return outside("the symlink leads to an absolute one");
      // Charged each time that a link leads here, even if the next component ends the walk.
      if (!spend(Buffer.byteLength(found.target))) return TOO_SLOW;
      pending.push(...found.target.split("/").reverse());
    }
  }
  return { path: current };
}

const TOO_SLOW = inside("the symlinks take too many steps to follow");

function inside(problem: string): Followed {
  return { problem, leaves: false };
}

function outside(problem: string): Followed {
  return { problem, leaves: true };
}
