/** icfs releases and rollback: the history, and rollbacks, which add to it. */
import t from "tap";
import { decodeHeader } from "../../lib/tree/header.ts";
import { exactly } from "../support/exactly.ts";
import { faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import { startOwnedCanister } from "../support/people.ts";

t.test("releases are listed, and a rollback loses none", async (t) => {
  const c = await startOwnedCanister(t);
  const { id } = c;
  const publisher = c.identity.getPrincipal().toText();
  t.match(await c.icfs(["releases", id]), { code: 1, stdout: "", stderr: /has no release yet/ });
  t.match(await c.icfs(["rollback", id, "1"]), { code: 1, stdout: "", stderr: /has no release yet/ });
  const first = await c.publish("the good one", "--note", "first\u001b[31m\nrelease 9 (held)");
  const second = await c.publish("another");

  await t.test("each release is listed with its details, newest first", async (t) => {
    const common = { state: "held", publisher, files: 1 };
    t.match(
      await c.releases(),
      exactly(
        { release: 2, header: second.header, note: "", bytes: 7, ...common },
        { release: 1, header: first.header, note: "first\u001b[31m\nrelease 9 (held)", bytes: 12, ...common },
      ),
    );
    const { publishedAt } = (await c.source().head())!.header;
    const [, , published] = (await c.owner("releases", id)).split("\n");
    t.equal(published, `  published  ${publishedAt.toISOString()} by ${publisher}`);
    const text = await c.owner("releases", id);
    t.match(text, `release 1 (held)\n  header     ${first.header}\n`);
    t.match(
      text,
      "  tree       1 files, 0.0 kB\n  note       first\\x1b[31m\\nrelease 9 (held)\n",
      "a note is printed on one line",
    );
  });

  await t.test("a rollback is a new release with the old tree", async (t) => {
    const result = JSON.parse(await c.owner("rollback", id, "1", "--json", "--note", "the second was bad"));
    t.match(
      await c.releases(),
      exactly(
        { release: 3, header: result.header, note: "the second was bad", bytes: 12 },
        { release: 2 },
        { release: 1 },
      ),
    );
    t.same(Object.keys(result), ["release", "header"]);
    const [newest, , oldest] = await c.source().headers(3, 3);
    t.same(decodeHeader(newest!).manifest, decodeHeader(oldest!).manifest);
    t.match(await c.icfs(["cat", id, "file"]), { code: 0, stdout: "the good one" });
    t.equal(
      await c.owner("rollback", id, "2"),
      `release 4 (${(await c.releases())[0]!.header}) has the tree of release 2\n`,
    );
    t.match((await c.source().head())!.header, { number: 4, note: "rollback to 2" });
  });

  await t.test("invalid rollbacks are refused", async (t) => {
    t.match(await c.icfs(["rollback", id, "4"]), {
      code: 1,
      stderr: "icfs: release 4 is already the newest one\n",
    });
    t.match(await c.icfs(["rollback", id, "5"]), { code: 1, stderr: /has no release 5: the newest is 4/ });
    for (const bad of ["0", "-1", "x", "1.5", "99999999999999999999"]) {
      t.match(await c.icfs(["rollback", id, "--", bad]), { code: 2, stderr: /release's number/ }, bad);
    }
    const long = "n".repeat(1025);
    t.match(await c.icfs(["rollback", id, "1", "--note", long]), {
      code: 2,
      stderr: /the note has 1025 bytes/,
    });
    t.equal((await c.source().head())!.header.number, 4);
  });

  await t.test("a rollback is refused when somebody publishes in between", async (t) => {
    const proxy = await startFaultProxy(t, c.url);
    let other: ReturnType<typeof c.publish> | undefined;
    let done = false;
    // The rollback is refused until the other publication is done, and then carried out.
    proxy.fault = faultFor("rollback", () => {
      other ??= c.publish("quicker").finally(() => {
        done = true;
      });
      return done ? "none" : { status: 503 };
    });
    const env = { ...c.env, ICFS_NETWORK: proxy.url };
    t.match(await c.icfs(["rollback", id, "1"], { env }), {
      code: 1,
      stdout: "",
      stderr: /^icfs: conflict: somebody else published release 5 meanwhile\. .* roll back again if/,
    });
    t.match(await other, { release: 5 });
    t.equal((await c.source().head())!.header.number, 5);
  });

  await t.test("a rollback whose answer is lost is found, and made once", async (t) => {
    const proxy = await startFaultProxy(t, c.url);
    let lost = 0;
    proxy.fault = faultFor("rollback", () => {
      lost += 1;
      return lost === 1 ? "lost" : "none";
    });
    const env = { ...c.env, ICFS_NETWORK: proxy.url };
    t.match(await c.icfs(["rollback", id, "1"], { env }), { code: 0, stdout: /^release 6 / });
    t.equal((await c.source().head())!.header.number, 6);
  });
});
