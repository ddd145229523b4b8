/** .ci/run: what it says at its end. Its make targets print what tap printed of a file with one failure, of a good file, or nothing. */
import { execFile } from "node:child_process";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";

const FAILED = `# Subtest: test/units.test.ts
    # Subtest: sizes
        ok 1 - should be equal
        not ok 2 - should be equal
          ---
          compare: ===
          at:
            fileName: test/units.test.ts
          diff: |
            --- expected
            +++ actual
            @@ -1,1 +1,1 @@
            -2
            +1
          ...
        1..2
    not ok 1 - sizes # time=9.2ms
    1..1
not ok 1 - test/units.test.ts # time=2103.9ms
  ---
  args:
    - test/units.test.ts
  exitCode: 1
  ...

# { total: 2, pass: 1, fail: 1 }
`;
const PASSED = `# Subtest: test/lock.test.ts
    ok 1 - should be equal
    1..1
ok 1 - test/lock.test.ts # time=1009.7ms

# { total: 1, pass: 1 }
`;

/** Runs .ci/run where `make test` and `make test-long` print this, and end with these exit codes. */
async function run(
  directory: string,
  targets: Record<"test" | "test-long", { prints: string; exits: number }>,
) {
  await cp(".ci", join(directory, ".ci"), { recursive: true });
  let makefile = "";
  for (const [target, { prints, exits }] of Object.entries(targets)) {
    await writeFile(join(directory, `${target}.tap`), prints);
    makefile += `${target}:\n\t@cat ${target}.tap; exit ${exits}\n`;
  }
  await writeFile(join(directory, "Makefile"), makefile);
  return new Promise<{ code: unknown; lines: string[] }>((resolve) => {
    execFile(join(directory, ".ci/run"), { cwd: "/" }, (error, stdout) =>
      resolve({ code: error?.code ?? 0, lines: stdout.trimEnd().split("\n") }),
    );
  });
}

t.test("everything passes", async (t) => {
  const both = { prints: PASSED, exits: 0 };
  const { code, lines } = await run(t.testdir(), { test: both, "test-long": both });
  t.equal(code, 0);
  t.equal(lines.at(-1), "2 passed, 0 failed");
  t.match(lines.at(-3), /^ +1\.0 test\/lock\.test\.ts$/);
});

t.test("a failure is repeated at the end, without the source and the command", async (t) => {
  const { code, lines } = await run(t.testdir(), {
    test: { prints: FAILED, exits: 2 },
    "test-long": { prints: PASSED, exits: 0 },
  });
  t.equal(code, 1);
  t.equal(lines.at(-1), "2 passed, 1 failed");
  t.strictSame(lines.slice(lines.findIndex((line) => line.startsWith("make test failed")) + 1, -5), [
    "        not ok 2 - should be equal",
    "          diff: |",
    "            --- expected",
    "            +++ actual",
    "            @@ -1,1 +1,1 @@",
    "            -2",
    "            +1",
    "    not ok 1 - sizes # time=9.2ms",
    "not ok 1 - test/units.test.ts # time=2103.9ms",
    "  exitCode: 1",
  ]);
});

t.test("a target that fails before its tests is a failure, with its last output", async (t) => {
  const { code, lines } = await run(t.testdir(), {
    test: { prints: "no such package\n", exits: 1 },
    "test-long": { prints: PASSED, exits: 0 },
  });
  t.equal(code, 1);
  t.equal(lines.at(-1), "1 passed, 1 failed");
  t.equal(lines[lines.findIndex((line) => line.startsWith("make test failed")) + 1], "no such package");
});
