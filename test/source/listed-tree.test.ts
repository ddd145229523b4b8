/** Which names of a list can be files of one tree, and the messages about the others. */
import t from "tap";
import { createLog } from "../../lib/log.ts";
import { LeftOut, possible } from "../../lib/source/listed-tree.ts";

const GIB = 1024 ** 3;

function logging() {
  const lines: string[] = [];
  return { lines, leftOut: new LeftOut(createLog("warn", (line) => lines.push(line))) };
}

t.test("a file with a made-up length is left out, and does not hide the others", async (t) => {
  const { lines, leftOut } = logging();
  const listed = [
    { path: "!", size: Number.MAX_SAFE_INTEGER },
    { path: "a", size: 60 * GIB },
    { path: "b", size: 60 * GIB },
    { path: "pxelinux.0", size: 42_000 },
  ];
  t.same(
    possible(listed, leftOut).map(({ path }) => path),
    ["a", "pxelinux.0"],
  );
  t.equal(lines.length, 2);
});

t.test("names that are too deep, too long or too many are left out at little cost", async (t) => {
  const { lines, leftOut } = logging();
  const deep = `${"d/".repeat(2000)}f`;
  const listed = Array.from({ length: 700 }, (_, i) => ({ path: `${i}/${deep}`, size: 1 }));
  const { has } = Map.prototype;
  let looked = 0;
  Map.prototype.has = function (this: Map<unknown, unknown>, key) {
    looked += 1;
    return has.call(this, key);
  };
  try {
    t.same(possible([...listed, { path: "x".repeat(1_000_000), size: 1 }], leftOut), []);
  } finally {
    Map.prototype.has = has;
  }
  t.ok(looked < 1000, `directories of refused names are not looked up one by one: ${looked} lookups`);
  t.equal(lines.length, 701);
  for (const line of lines) if (line.length > 400) t.fail(`a line of ${line.length} characters`);
  const many = Array.from({ length: 100_010 }, (_, i) => ({ path: `file ${i}`, size: 1 }));
  t.equal(possible(many, leftOut).length, 100_000);
  t.ok(lines.length <= 1001, "not every name left out is logged");
});
