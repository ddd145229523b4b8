/** Whoever imports a module gets what it exports, and no other change: the globals stay as they are. */
import { glob } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { ROOT } from "./support/imports.ts";

/** What runs when it is loaded: programs, and what threads and processes of their own begin with. */
const PROGRAMS = new Set([
  "lib/cli/main.ts",
  "lib/cli/mount-helper-main.ts",
  "lib/ic/certificate/bls-worker.ts",
  "localnet/canister-worker.ts",
]);

type Found = Record<string, unknown>;

/** What stands in the objects that everybody shares: their functions and other values, by their names. */
function globals(): Found {
  const found: Found = {};
  for (const [name, object] of Object.entries({ globalThis, console, process, Math, JSON })) {
    for (const [key, { value, get, set }] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      if (typeof (value ?? get ?? set) === "function") found[`${name}.${key}`] = [value, get, set];
    }
  }
  return found;
}

/** Names of what is not what it was. */
const changed = (before: Found, after: Found) =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => {
    const [a, b] = [before[name] ?? [], after[name] ?? []] as [unknown[], unknown[]];
    return a.length !== b.length || a.some((one, i) => one !== b[i]);
  });

t.test("no import replaces a global", async (t) => {
  const before = globals();
  const { env } = process;
  let modules = 0;
  for await (const path of glob(["lib/**/*.ts", "localnet/**/*.ts"], { cwd: ROOT })) {
    if (PROGRAMS.has(path) || path.endsWith(".d.ts")) continue;
    await import(join(ROOT, path));
    modules += 1;
    t.same(changed(before, globals()), [], path);
  }
  t.ok(modules > 200, `${modules} modules`);
  t.equal(process.env, env);
});

t.test("it is noticed", async (t) => {
  const before = globals();
  t.intercept(console, "warn", { value: () => {} });
  t.same(changed(before, globals()), ["console.warn"]);
});
