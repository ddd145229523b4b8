/** Importing a module changes nothing else: the globals stay as they are. */
import { glob } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { ROOT } from "./support/imports.ts";

/** Modules that run when they are loaded: programs, and the entry points of threads and processes. */
const PROGRAMS = new Set([
  "lib/cli/main.ts",
  "lib/cli/mount-helper-main.ts",
  "lib/ic/certificate/bls-worker.ts",
  "localnet/canister-worker.ts",
]);

type Found = Record<string, unknown>;

/** The functions and other values of the objects that all code shares, by their names. */
function globals(): Found {
  const found: Found = {};
  for (const [name, object] of Object.entries({ globalThis, console, process, Math, JSON })) {
    for (const [key, { value, get, set }] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      if (typeof (value ?? get ?? set) === "function") found[`${name}.${key}`] = [value, get, set];
    }
  }
  return found;
}

/** The names of the values that differ. */
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

t.test("a replaced global is noticed", async (t) => {
  const before = globals();
  t.intercept(console, "warn", { value: () => {} });
  t.same(changed(before, globals()), ["console.warn"]);
});
