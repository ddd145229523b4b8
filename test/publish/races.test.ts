/** Changes of the files, and of the canister, while a publication is under way. */
import { writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { dryRun } from "../../lib/publish/dry-run.ts";
import type { Progress } from "../../lib/publish/progress.ts";
import { publish } from "../../lib/publish/publish.ts";
import { startCanister } from "../support/canister-network.ts";
import { bytesOf, PLAINLY, writeTree } from "./trees.ts";

const MiB = 1024 * 1024;

t.test("races", async (t) => {
  const c = await startCanister(t);
  const directory = join(c.directory, "tree");
  await mkdir(directory);
  await writeTree(directory, { file: "as it was hashed" });
  const options = {
    ...PLAINLY,
    directory,
    canister: c.canister,
    agent: c.publisherAgent,
    source: c.source(),
    note: "",
  };

  await t.test(
    "a file that changes between hashing and upload is an error, and no release is made",
    async (t) => {
      const start = (stage: string) => {
        if (stage === "uploading") writeFileSync(join(directory, "file"), "as it is now...!");
      };
      await t.rejects(publish({ ...options, progress: { ...PLAINLY.progress, start } }), {
        name: "UserError",
        message:
          "a file changed while it was being published (file: it was written to, or its owner, mode or links changed): publish again",
      });
      t.equal(await options.source.head(), undefined);
      t.match(await publish(options), { release: 1, changed: true }, "publishing again succeeds");
    },
  );

  await t.test("a changing file is noticed even if its chunks are in the canister already", async (t) => {
    const pair = join(c.directory, "pair");
    await mkdir(pair);
    const versions = [1, 2].map((seed) => ({
      kernel: bytesOf(seed, 5 * MiB),
      initrd: bytesOf(10 + seed, MiB),
    }));
    const numbers: number[] = [];
    for (const version of versions) {
      await writeTree(pair, version);
      numbers.push((await publish({ ...options, directory: pair })).release);
    }
    const [first, second] = versions as [(typeof versions)[0], (typeof versions)[0]];
    const newest = numbers.at(-1)!;
    /** Publishes, or makes a dry run, while the files change, and expects this error. */
    const torn = async (hook: Partial<Progress>, dry: boolean, message: RegExp) => {
      const work = { ...options, directory: pair, progress: { ...PLAINLY.progress, ...hook } };
      await t.rejects(async () => void (await (dry ? dryRun(work) : publish(work))), {
        name: "UserError",
        message,
      });
      t.equal((await options.source.head())?.header.number, newest, "no release was made");
    };
    /** Does something when so many bytes have been hashed. */
    const once = (bytes: number, act: () => void): Partial<Progress> => {
      let left = bytes;
      let isOfBytes = false;
      return {
        start: (_, total) => {
          isOfBytes = total !== undefined;
        },
        add: (more) => {
          if (!isOfBytes) return;
          left -= more;
          if (left === 0) act();
        },
      };
    };
    for (const dry of [false, true]) {
      const named = (file: string) =>
        new RegExp(
          `^${pair} cannot be published; nothing was uploaded:\n {2}${file}: it was written to, .*\\npublish again when nobody writes to it$`,
        );
      // Two megabytes of one version, and three of the other: such a file never existed.
      await torn(
        once(2 * MiB, () => writeFileSync(join(pair, "kernel"), first.kernel)),
        dry,
        named("kernel"),
      );
      // "initrd" is read first: the old one, beside the new kernel.
      await writeTree(pair, first);
      await torn(
        once(MiB, () => {
          writeFileSync(join(pair, "initrd"), second.initrd);
          writeFileSync(join(pair, "kernel"), second.kernel);
        }),
        dry,
        /\n {2}initrd: it was written to, [\s\S]*\n {2}kernel: it was written to, /,
      );
      // A file that was hashed already. No later step would notice the change.
      await torn(
        once(5 * MiB, () => writeFileSync(join(pair, "initrd"), second.initrd)),
        dry,
        named("initrd"),
      );
      await writeTree(pair, second);
    }
    // Only a note is new, and is sent: the other files are on the canister, and are not read again.
    await writeTree(pair, { ...first, note: "third" });
    const start = (stage: string) => {
      if (stage === "uploading") writeFileSync(join(pair, "kernel"), second.kernel);
    };
    await torn(
      { start },
      false,
      new RegExp(
        `^${pair} changed while it was being published, and no release was made: publish again when nobody writes to it\n {2}kernel: `,
      ),
    );
    await writeTree(pair, first);
    t.match(await publish({ ...options, directory: pair }), { release: newest + 1, changed: true });
  });

  await t.test(
    "when somebody else publishes in between, there is a conflict, and their release stays",
    async (t) => {
      const theirs = await options.source.head();
      await writeTree(directory, { file: "mine" });
      const real = options.source;
      let asked = 0;
      const source = {
        restore: real.restore.bind(real),
        headers: real.headers.bind(real),
        manifest: real.manifest.bind(real),
        chunk: real.chunk.bind(real),
        // At first this publisher gets a head from before.
        head: async () => (asked++ === 0 ? undefined : real.head()),
      };
      await t.rejects(publish({ ...options, source }), {
        name: "UserError",
        message: /^conflict: somebody else published release 4 meanwhile\. Nothing was lost; publish again/,
      });
      t.same((await options.source.head())?.hash, theirs?.hash);
      t.match(
        await publish(options),
        { release: 5, chunksUploaded: 0 },
        "chunks uploaded before the conflict are not sent again",
      );
    },
  );

  await t.test(
    "when others publish on top at once, the result is still the header of our own release",
    async (t) => {
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
          // The second time is after this publisher's own release.
          if (asked === 2) await publish({ ...options, directory: above });
          return real.head();
        },
      };
      const third = await publish({ ...options, source });
      const fourth = await real.head();
      t.equal(third.release, 6);
      t.equal(fourth?.header.number, 7);
      t.equal(fourth?.header.parent?.toString("hex"), third.header);
    },
  );
});
