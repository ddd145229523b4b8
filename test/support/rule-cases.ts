/** Paths and symlinks with the problems they have: the same cases test the reader's rules and the canister's. */

export const PATH_CASES: readonly { path: string; problem: string | undefined }[] = [
  { path: "a", problem: undefined },
  { path: "a/b.c/d e", problem: undefined },
  { path: "größe/日本語/🥾", problem: undefined },
  { path: "...", problem: undefined },
  { path: ".hidden", problem: undefined },
  { path: `${"n".repeat(255)}`, problem: undefined },
  { path: "", problem: "the path is empty" },
  { path: "/a", problem: "the path is absolute" },
  { path: "a//b", problem: "the path has an empty component" },
  { path: "a/", problem: "the path has an empty component" },
  { path: ".", problem: "the path has a component . or .." },
  { path: "a/..", problem: "the path has a component . or .." },
  { path: "a/./b", problem: "the path has a component . or .." },
  { path: "a\0b", problem: "the path has a control character" },
  { path: "a\nb", problem: "the path has a control character" },
  { path: "a\x7f", problem: "the path has a control character" },
  { path: "a\x9b31m", problem: "the path has a control character" },
  { path: "a\xa0b", problem: undefined },
  { path: "n".repeat(256), problem: "the path has a component longer than 255 bytes" },
  // 128 characters, 256 bytes.
  { path: "ü".repeat(128), problem: "the path has a component longer than 255 bytes" },
  { path: `${"d/".repeat(2048)}x`, problem: "the path is longer than 4096 bytes" },
];

/** The kind of each path: "file", "directory", or a symlink's "->" and target. */
export type CaseTree = Readonly<Record<string, string>>;

const chain = (length: number): CaseTree => {
  const tree: Record<string, string> = { end: "file" };
  for (let i = 1; i <= length; i++) tree[`l${i}`] = i === 1 ? "->end" : `->l${i - 1}`;
  return tree;
};

export const LINK_CASES: readonly { tree: CaseTree; link: string; problem: string | undefined }[] = [
  { tree: { a: "file", l: "->a" }, link: "l", problem: undefined },
  { tree: { d: "directory", "d/l": "->../a", a: "file" }, link: "d/l", problem: undefined },
  { tree: { d: "directory", l: "->d/" }, link: "l", problem: undefined },
  { tree: { d: "directory", l: "->./d//." }, link: "l", problem: undefined },
  { tree: { d: "directory", "d/l": "->.." }, link: "d/l", problem: undefined },
  { tree: { l: "->m", m: "->a", a: "file" }, link: "l", problem: undefined },
  { tree: chain(40), link: "l40", problem: undefined },
  { tree: chain(41), link: "l41", problem: "the symlink takes more than 40 hops" },
  { tree: { l: "->" }, link: "l", problem: "the symlink's target is empty" },
  { tree: { l: "->a\nb" }, link: "l", problem: "the symlink's target has a control character" },
  {
    tree: { l: `->${"./".repeat(2049)}` },
    link: "l",
    problem: "the symlink's target is longer than 4096 bytes",
  },
  { tree: { l: "->/etc/shadow" }, link: "l", problem: "the symlink is absolute" },
  { tree: { l: "->.." }, link: "l", problem: "the symlink leaves the tree" },
  { tree: { l: "->../../etc/shadow" }, link: "l", problem: "the symlink leaves the tree" },
  { tree: { l: "->nowhere" }, link: "l", problem: "the symlink leads to nowhere, which is not in the tree" },
  { tree: { a: "file", l: "->a/b" }, link: "l", problem: "the symlink goes through a, which is a file" },
  { tree: { a: "file", l: "->a/" }, link: "l", problem: "the symlink goes through a, which is a file" },
  { tree: { l: "->l" }, link: "l", problem: "the symlink takes more than 40 hops" },
  { tree: { l: "->m", m: "->l" }, link: "m", problem: "the symlink takes more than 40 hops" },
  {
    // As text the path stays inside; when walked, `up` is the root, and `..` leaves it.
    tree: {
      p: "directory",
      "p/q": "directory",
      "p/q/r": "directory",
      "p/q/r/up": "->../../..",
      outside: "file",
      "p/q/l": "->r/up/../outside",
    },
    link: "p/q/l",
    problem: "the symlink leaves the tree",
  },
];
