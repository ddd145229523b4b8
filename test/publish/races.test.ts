/** What happens while a publication is under way: to the files, and to the canister. */
import { writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Progress } from "../../lib/publish/progress.ts";
import { publish } from "../../lib/publish/publish.ts";
import { startCanister } from "../support/canister-network.ts";
import { writeTree } from "./trees.ts";

const silent: Progress = { start: () => {}, add: () => {}, stop: () => {} };

t.test("races", async (t) => {
  const c = await startCanister(t);
  const directory = join(c.directory, "tree");
  await mkdir(directory);
  await writeTree(directory, { file: "as it was hashed" });
  const options = {
    directory,
    canister: c.canister,
    agent: c.publisherAgent,
    source: c.source(),
    note: "",
    progress: silent,
  };

  await t.test("a file that changes between hashing and upload: a clear error, and no release", async (t) => {
    const start = (stage: string) => {
      if (stage === "uploading") writeFileSync(join(directory, "file"), "as it is now...!");
    };
    await t.rejects(publish({ ...options, progress: { ...silent, start } }), {
      name: "UserError",
      message: `a file changed while it was being published (${directory}/file): publish again`,
    });
    t.equal(await options.source.head(), undefined);
    t.match(await publish(options), { release: 1, changed: true }, "and again it works");
  });

  await t.test("somebody else publishes in between: a conflict, and theirs stays", async (t) => {
    const theirs = await options.source.head();
    await writeTree(directory, { file: "mine" });
    const real = options.source;
    let asked = 0;
    const source = {
      restore: real.restore.bind(real),
      headers: real.headers.bind(real),
      manifest: real.manifest.bind(real),
      chunk: real.chunk.bind(real),
      // What this publisher saw first is from before.
      head: async () => (asked++ === 0 ? undefined : real.head()),
    };
    await t.rejects(publish({ ...options, source }), {
      name: "UserError",
      message: /^conflict: somebody else published release 1 meanwhile\. Nothing was lost; publish again/,
    });
    t.same((await options.source.head())?.hash, theirs?.hash);
    t.match(await publish(options), { release: 2, chunksUploaded: 0 }, "what was uploaded is not sent again");
  });

  await t.test("others publish on top at once: the header is that of the own release", async (t) => {
    await writeTree(directory, { file: "third" });
    const above = join(c.directory, "above");
    await mkdir(above);
    await writeTree(above, { file: "fourth" });
    const real = options.source;
    let asked = 0;
    const source = {
      restore: real.restore.bind(real),
      headers: real.headers.bind(real),
      manifest: real.manifest.bind(real),
      chunk: real.chunk.bind(real),
      head: async () => {
        asked += 1;
        // The second time is after its own publication.
        if (asked === 2) await publish({ ...options, directory: above });
        return real.head();
      },
    };
    const third = await publish({ ...options, source });
    const fourth = await real.head();
    t.equal(third.release, 3);
    t.equal(fourth?.header.number, 4);
    t.equal(fourth?.header.parent?.toString("hex"), third.header);
  });
});
