/** docs/SEMANTICS.md and the tests in this directory: each clause has one test, and each test a clause. */
import { readdirSync, readFileSync } from "node:fs";
import t from "tap";

const DOCUMENT = new URL("../../docs/SEMANTICS.md", import.meta.url);
/** A clause stands at the beginning of a line. */
const CLAUSE = /^(\d+)\. \S/gm;
/** So does a test: its title begins with the clause's number. */
const TEST = /^(?:t\.test\(|aboveTransports\(\s*t,)\s*["'`]([^"'`]*)/gm;

const numbers = (text: string) => Array.from(text.matchAll(CLAUSE), ([, number]) => Number(number));
const upTo = (most: number) => Array.from({ length: most }, (_, i) => i + 1);

const clauses = numbers(readFileSync(DOCUMENT, "utf8"));
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
const titles = files
  // The other files import these.
  .filter((name) => !name.endsWith("-fuse-native.test.ts") && !import.meta.filename.endsWith(name))
  .map((name) => ({
    name,
    titles: Array.from(
      readFileSync(`${import.meta.dirname}/${name}`, "utf8").matchAll(TEST),
      ([, title]) => title!,
    ),
  }));

t.test("the clauses are numbered from 1, in order", async (t) => {
  t.ok(clauses.length > 0);
  t.same(clauses, upTo(clauses.length));
});

t.test("every test begins with a clause's number, and every clause has one test", async (t) => {
  for (const { name, titles: found } of titles) {
    t.ok(found.length > 0, `${name} has tests`);
    for (const title of found) t.match(title, /^\d+\. \S/, `${name}: ${title}`);
    const own = found.map(Number.parseFloat);
    t.same(
      own,
      own.toSorted((a, b) => a - b),
      `${name}: tests are in the order of the clauses`,
    );
  }
  const tested = titles.flatMap((file) => file.titles.map(Number.parseFloat)).sort((a, b) => a - b);
  t.same(tested, clauses);
});

t.test("every file runs over both transports", async (t) => {
  const all = readdirSync(import.meta.dirname);
  for (const { name } of titles) {
    const other = new RegExp(`^${name.replace(".test.ts", "")}-fuse-native\\.(test|long)\\.ts$`);
    const found = all.filter((file) => other.test(file));
    t.ok(found.length > 0, `${name} over fuse-native`);
    for (const file of found) {
      const text = readFileSync(`${import.meta.dirname}/${file}`, "utf8");
      t.match(text, `await import("./${name}")`, file);
      t.match(text, 'process.env.TEST_TRANSPORT = "fuse-native"', file);
    }
  }
});
