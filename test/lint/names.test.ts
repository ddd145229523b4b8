import t from "tap";
import { places } from "../support/linted.ts";

t.test("names that machines cannot ask for", async (t) => {
  const deep = `${"directory/".repeat(13)}boot.efi`;
  t.same(await places({ "a\\b": "x", [deep]: "x", "blank ": "x", "a b": "x", grün: "x" }), [
    "name a\\b",
    "name blank ",
    `name ${deep}`,
  ]);
});
