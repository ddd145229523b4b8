import t from "tap";
import { type LinkStep, linkProblem, pathProblem } from "../../lib/tree/rules.ts";
import { LINK_CASES, PATH_CASES } from "../support/rule-cases.ts";

t.test("paths", async (t) => {
  for (const { path, problem } of PATH_CASES) {
    t.equal(pathProblem(path), problem, JSON.stringify(path.slice(0, 40)));
  }
});

t.test("symlinks are followed as the kernel follows them", async (t) => {
  for (const { tree, link, problem } of LINK_CASES) {
    const steps = new Map<string, LinkStep>();
    for (const [path, what] of Object.entries(tree)) {
      steps.set(path, what === "file" || what === "directory" ? what : { target: what.slice(2) });
    }
    const target = tree[link]!.slice(2);
    t.equal(
      linkProblem(link, target, (path) => steps.get(path)),
      problem,
      `${link} -> ${target.slice(0, 40)}`,
    );
  }
});
