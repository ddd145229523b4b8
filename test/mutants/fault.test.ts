/** The faults of `make test-mutants` apply to the sources as they are, and name tests that exist. Only the long run shows more. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { readFaults, withFault } from "./fault.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const faults = readFaults(fileURLToPath(new URL(".", import.meta.url)));

t.test("every fault applies, and has tests", async (t) => {
  t.ok(faults.length >= 40);
  for (const fault of faults) {
    const source = readFileSync(join(root, fault.file), "utf8");
    t.not(withFault(source, fault), source, fault.name);
    t.same(
      fault.tests.filter((test) => !existsSync(join(root, test))),
      [],
      `${fault.name}: its tests exist`,
    );
  }
});

t.test("a fault whose lines are missing or occur twice does not apply", async (t) => {
  const fault = { name: "", harm: "", file: "", tests: [], before: ["a", "b"], after: ["c"] };
  t.equal(withFault("x\n  a\n  b\ny", fault), "x\nc\ny");
  for (const source of ["a\nx\nb", "a\nb\na\nb"])
    t.throws(() => withFault(source, fault), /its lines are there/);
});
