import t from "tap";
import { places } from "../support/linted.ts";

t.test("names that machines cannot request", async (t) => {
  const deep = `${"directory/".repeat(13)}boot.efi`;
  t.same(await places({ "a\\b": "x", [deep]: "MZ", "blank ": "x", "a b": "x", grün: "x" }), [
    "name a\\b",
    "name blank ",
    `name ${deep}`,
  ]);
  for (const name of [" a", "d/ a", "d /a", "d/a "]) t.same(await places({ [name]: "x" }), [`name ${name}`]);
  // 127 bytes still fit; and only boot files have to.
  const long = `${"d/".repeat(60)}bo`;
  t.same(await places({ [`${long}t.efi`.slice(-127)]: "MZ", [`${long}${"t".repeat(90)}`]: "x" }), []);
  t.same(await places({ [`${"d/".repeat(62)}.efi`]: "MZ" }), [`name ${"d/".repeat(62)}.efi`], "128 bytes");
});
