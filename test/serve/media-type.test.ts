/** Media types are the same as those of the canister's own URLs. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { mediaTypeOf } from "../../lib/serve/media-type.ts";

t.test("media types are the same as those of the canister's own URLs", async (t) => {
  const source = await readFile(new URL("../../canister/contenttype.mo", import.meta.url), "utf8");
  const types = Array.from(source.matchAll(/^ {4}"([^"]+)",$/gm), ([, type]) => type!);
  const endings = Array.from(
    source.matchAll(/\("(\w+)", (\d+)\),/g),
    ([, ending, number]) => [ending!, Number(number)] as const,
  );
  t.ok(types.length > 20 && endings.length > 25);
  const mine = Object.fromEntries(
    endings.map(([ending]) => [ending, mediaTypeOf(`a/b.${ending.toUpperCase()}`)]),
  );
  t.same(mine, Object.fromEntries(endings.map(([ending, number]) => [ending, types[number]])));
  for (const path of ["pxelinux.0", "linux", "pxelinux.cfg/default", ".gitignore", "x.constructor"]) {
    t.equal(mediaTypeOf(path), "application/octet-stream", path);
  }
});
