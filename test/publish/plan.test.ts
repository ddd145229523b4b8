/** When the canister is asked for its newest release, and when again. */
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { planPublication } from "../../lib/publish/plan.ts";
import type { Policy } from "../../lib/publish/policy.ts";
import type { Head, ReleaseReader } from "../../lib/source/icfs/release-reader.ts";
import type { Entry } from "../../lib/tree/manifest.ts";
import { stillClock } from "../support/clock.ts";
import { exactly } from "../support/exactly.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { PLAINLY, writeTree } from "./trees.ts";

const DIRECTORY: Entry = { kind: "directory", path: "d", modified: 0n };

/** A canister whose newest release is number `numbers[i]` when it is asked for the i-th time (0: none). It counts. */
function canisterWith(numbers: readonly number[]) {
  const asked = { heads: 0, manifests: 0 };
  const source = {
    head: async () => {
      const number = numbers[asked.heads++]!;
      return number === 0 ? undefined : { hash: Buffer.of(number), header: { number } };
    },
    manifest: async ({ number }: Head["header"]) => {
      asked.manifests += 1;
      return { chunks: [], entries: number === 1 ? [] : [DIRECTORY] };
    },
  };
  return { asked, source: source as unknown as ReleaseReader };
}

t.test("the newest release is asked for again when reading the directory takes long", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { file: "" });
  const advance = stillClock(t);

  /** @param reading how many minutes reading the directory takes */
  const planned = async (numbers: readonly number[], reading: number) => {
    const { asked, source } = canisterWith(numbers);
    const start = () => advance(reading * 60_000);
    const { head, differences } = await planPublication(
      { ...PLAINLY, directory, progress: { ...PLAINLY.progress, start } },
      source,
    );
    return { ...asked, newest: head?.header.number, removed: differences.removed.length };
  };

  const quick = await planned([1, 2], 0);
  t.same(
    quick,
    { heads: 1, manifests: 1, newest: 1, removed: 0 },
    "a quickly read directory needs one request for the newest release",
  );
  const first = await planned([0, 2], 1);
  t.same(
    first,
    { heads: 2, manifests: 1, newest: 2, removed: 1 },
    "a first release that is published meanwhile is noticed",
  );
  const second = await planned([1, 2], 1);
  t.same(
    second,
    { heads: 2, manifests: 2, newest: 2, removed: 1 },
    "another release that is published meanwhile is noticed",
  );
  const same = await planned([2, 2], 1);
  t.same(
    same,
    { heads: 2, manifests: 1, newest: 2, removed: 1 },
    "the manifest of an unchanged release is not read again",
  );
});

t.test("a directory without files is refused if the release has some, unless that is allowed", async (t) => {
  const directory = await temporaryDirectory(t);
  const file: Entry = {
    kind: "file",
    path: "kernel",
    modified: 0n,
    size: 0,
    sha256: new Uint8Array(32),
    executable: false,
    extents: [],
  };
  const planned = (entries: readonly Entry[], allowEmpty = false) => {
    const head = { hash: Buffer.of(7), header: { number: 7 } };
    const source = { head: async () => head, manifest: async () => ({ chunks: [], entries }) };
    const reading = { ...PLAINLY.reading, exclude: ["x*"] };
    const policy = { ...PLAINLY.policy, allowEmpty };
    return planPublication({ ...PLAINLY, directory, reading, policy }, source as unknown as ReleaseReader);
  };
  await t.rejects(planned([file]), {
    name: "UserError",
    message: `${directory} has no files to publish, and release 7 has 1: is it the right directory, `,
  });
  await writeTree(directory, { "lost+found/x": "", "d/xx/file": "", x: "" });
  await t.rejects(planned([file]), {
    name: "UserError",
    message: `${directory} has no files to publish but those that patterns leave out (3 names), and release 7 has 1: are --exclude, `,
  });
  t.match(
    await planned([DIRECTORY]),
    { totals: { files: 0 }, loss: undefined },
    "a directory without files is accepted if the release has none",
  );
  t.match(await planned([file], true), {
    totals: { files: 0 },
    loss: "of the 1 files of release 7 this removes 1: kernel",
  });
});

t.test("symlinks with too many steps for the canister are refused before anything is read", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { file: "" });
  // Each link leads through the one before: together 200 times 1,000 components.
  for (let i = 0; i < 20; i++) {
    await symlink(`${"./".repeat(1000)}${i === 0 ? "file" : `link${i - 1}`}`, join(directory, `link${i}`));
  }
  const stages: string[] = [];
  const start = (stage: string) => {
    stages.push(stage);
  };
  const { source } = canisterWith([0]);
  const options = { ...PLAINLY, directory, progress: { ...PLAINLY.progress, start } };
  await t.rejects(planPublication(options, source), {
    message: /^ {2}link\d+ -> .*: the symlinks take too many steps/m,
  });
  t.same(stages, ["listing"], "no file is read or hashed");
});

t.test(
  "problems that keep machines from booting are reported, refused or ignored, as the policy says",
  async (t) => {
    const directory = await temporaryDirectory(t);
    await writeTree(directory, { "boot.ipxe": "#!ipxe\nkernel gone\n" });
    const planned = (lint: Policy["lint"], entries: readonly Entry[] = []) => {
      const source = {
        head: async () => ({ hash: Buffer.of(1), header: { number: 1 } }),
        manifest: async () => ({ chunks: [], entries }),
      } as unknown as ReleaseReader;
      return planPublication({ ...PLAINLY, directory, policy: { ...PLAINLY.policy, lint } }, source);
    };
    const { findings, tree } = await planned("warn");
    t.match(
      findings,
      exactly({ kind: "missing-file", file: "boot.ipxe", line: 2 }),
      "the problem is reported",
    );
    t.same(
      (await planned("warn", tree.manifest.entries)).findings,
      [],
      "a problem that the release already had is not reported again",
    );
    await t.rejects(planned("error"), { message: /boot\.ipxe:2: names gone/ }, "or an error");
    t.same((await planned("off")).findings, [], "nothing is reported if the policy is off");
    await writeTree(directory, { gone: "kernel" });
    t.same((await planned("error")).findings.length, 0, "fixed");
  },
);
