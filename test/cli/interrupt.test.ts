/** Ctrl-C while a tree is published. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { BIN } from "../support/icfs.ts";

const MiB = 1024 * 1024;

t.test(
  "SIGINT ends the command, publishes nothing, and the next publication continues the upload",
  async (t) => {
    const c = await startCanister(t, { bandwidth: 6 });
    const id = c.canister.toText();
    const tree = join(c.directory, "tree");
    await mkdir(tree);
    await writeTree(tree, { large: bytesOf(1, 18 * MiB) });
    const sha256 = createHash("sha256").update(bytesOf(1, MiB)).digest();
    const owner = icfsCanister(c.publisherAgent, c.canister);
    const interrupted = await c.icfs(["publish", tree, id], {
      started: async (child) => {
        // The interrupt comes once the first chunk has arrived.
        while ((await owner.missing([sha256])).length > 0 && child.exitCode === null) await sleep(50);
        child.kill("SIGINT");
      },
    });
    t.match(interrupted, { code: 130, stdout: "" });
    t.notMatch(interrupted.stderr, /unexpected error|Error:/);
    t.equal(await c.source().head(), undefined, "nothing is published");

    await t.test("on a terminal, the cursor is shown again", async (t) => {
      const script = spawn("script", ["-qec", `${BIN} publish ${tree} ${id}`, "/dev/null"], {
        env: c.env,
        stdio: ["pipe", "pipe", "inherit"],
      });
      t.teardown(() => void script.kill("SIGKILL"));
      let terminal = "";
      script.stdout.setEncoding("utf8").on("data", (text: string) => {
        if (!terminal.includes("uploading") && (terminal + text).includes("uploading"))
          script.stdin.write("\x03");
        terminal += text;
      });
      const [code] = (await once(script, "close")) as [number];
      t.equal(code, 130);
      t.ok(
        terminal.lastIndexOf("\x1b[?25h") > terminal.lastIndexOf("\x1b[?25l"),
        "the cursor is visible again",
      );
      t.equal(await c.source().head(), undefined, "nothing is published");
    });

    const { code, stdout } = await c.icfs(["publish", tree, id, "--json"]);
    t.equal(code, 0);
    const { release, chunks, chunksUploaded } = JSON.parse(stdout);
    t.equal(release, 1);
    t.ok(chunksUploaded < chunks, `only ${chunksUploaded} of ${chunks} chunks are left to upload`);
  },
);
