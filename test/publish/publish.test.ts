/** What publish() decides before it uploads anything. test/cli/publish.test.ts has the rest. */

import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { HttpAgent } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { UserError } from "../../lib/errors.ts";
import type { Progress } from "../../lib/publish/progress.ts";
import { describePublication, publish } from "../../lib/publish/publish.ts";
import type { ReleaseReader } from "../../lib/source/icfs/release-reader.ts";
import { stopClock } from "../support/clock.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { PLAINLY, writeTree } from "./trees.ts";

const CANISTER = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");

/** A source and an agent that answer nothing, and a progress that records its stages. */
function untouched() {
  const stages: string[] = [];
  const no = () => {
    throw new Error("the network was asked");
  };
  const heads: unknown[] = [];
  const head = () => {
    heads.push(head);
    return no();
  };
  const source: ReleaseReader = { head, restore: no, headers: no, manifest: no, chunk: no };
  const progress: Progress = {
    start: (stage) => stages.push(stage),
    add: () => {},
    stop: () => stages.push("stop"),
  };
  const agent = HttpAgent.createSync({ host: "http://127.0.0.1:9", fetch: no });
  return { stages, heads, options: { ...PLAINLY, canister: CANISTER, agent, source, note: "", progress } };
}

t.test(
  "symlinks that leave the tree, dangle, loop or are absolute are refused by name, all at once",
  async (t) => {
    const directory = await temporaryDirectory(t);
    await writeTree(directory, { "p/q/r/file": "", "a/file": "" });
    const links: Record<string, [target: string, problem: string]> = {
      "a/absolute": ["/etc/shadow", "the symlink is absolute"],
      "a/above": ["../../x", "the symlink leaves the tree"],
      "a/dangling": ["nothing/here", "the symlink leads to a/nothing, which is not in the tree"],
      "a/loop1": ["loop2", "the symlink takes more than 40 hops"],
      "a/loop2": ["loop1", "the symlink takes more than 40 hops"],
      "a/through": ["file/x", "the symlink goes through a/file, which is a file"],
      // The target's text stays inside. On the way, though, `up` leads to the root.
      "p/q/sneaky": ["r/up/../x", "the symlink leaves the tree"],
    };
    for (const [path, [target]] of Object.entries(links)) await symlink(target, join(directory, path));
    await symlink("../../..", join(directory, "p/q/r/up"));
    await symlink("../p/q", join(directory, "a/inside"));
    const { options, stages } = untouched();
    const error = await publish({ ...options, directory }).then(
      () => t.fail("it was published"),
      (error: Error) => error,
    );
    t.match(error, { name: "UserError" });
    const lines = (error as Error).message.split("\n").slice(1);
    t.same(
      lines.sort(),
      [
        ...Object.entries(links).map(([path, [target, problem]]) => `  ${path} -> ${target}: ${problem}`),
        "--copy-unsafe-links publishes what a symlink out of the directory points to in its place, --copy-links what any does",
        "--exclude PATTERN, or a line in a file .icfsignore, leaves out what is not to be published",
      ].sort(),
      "the error names every bad link and no good one, and the options that help",
    );
    t.same(stages, ["listing", "stop", "hashing", "stop", "stop"], "no stage is still running");
  },
);

t.test("a forbidden name is refused, and the canister is not asked again", async (t) => {
  const clock = stopClock(t);
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { "new\nline": "", fine: "" });
  const { options, heads } = untouched();
  let refused: Error | undefined;
  publish({ ...options, directory }).catch((error: Error) => {
    refused = error;
  });
  // The files are new: publish() waits until their times are old enough.
  while (refused === undefined) await clock.pass(1);
  t.match(refused.message, /new\\nline: the path has a control character/);
  const { length } = heads;
  await clock.pass(60_000);
  t.equal(heads.length, length, "the canister is not asked again");
});

t.test("a user who may not publish is refused before the directory is read", async (t) => {
  const { options, stages } = untouched();
  const refusal = new UserError("may not publish");
  await t.rejects(
    publish({ ...options, directory: "/no/such/directory", permitted: Promise.reject(refusal) }),
    refusal,
  );
  t.same(stages, ["stop"]);
});

t.test("a note that is too long is refused at once", async (t) => {
  const directory = await temporaryDirectory(t);
  const { options } = untouched();
  await t.rejects(publish({ ...options, directory, note: "ü".repeat(513) }), {
    name: "UserError",
    message: "the note has 1026 bytes; 1024 is the limit",
  });
});

t.test("the result in a sentence", async (t) => {
  const publication = {
    changed: true,
    release: 3,
    header: "ab",
    files: 2,
    bytes: 1_500_000,
    chunks: 4,
    privateFiles: [],
    chunksUploaded: 3,
    bytesUploaded: 999,
  };
  t.equal(
    describePublication(publication),
    "published release 3 (ab): 2 files, 1.5 MB; uploaded 3 chunks, 1.0 kB",
  );
  t.equal(
    describePublication({ ...publication, changed: false }),
    "nothing changed: release 3 (ab) has this tree, 2 files, 1.5 MB",
  );
});
