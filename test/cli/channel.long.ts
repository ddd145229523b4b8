/** icfs channel and promote: who may move channels, what the commands list, and what CANISTER@NAME reads. */
import { join } from "node:path";
import t from "tap";
import { exactly } from "../support/exactly.ts";
import { faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import { startOwnedCanister } from "../support/people.ts";

t.test("a channel is promoted, read, moved back, listed and deleted", async (t) => {
  const c = await startOwnedCanister(t);
  const { id } = c;
  const first = await c.publish("the good one");
  const second = await c.publish("another");
  const manager = await c.person("manager", "ed25519");
  const own = c.identity.getPrincipal().toText();
  t.match(await manager.icfs("promote", id, "1", "stable"), {
    code: 1,
    stderr: `${manager.principal} may not promote on ${id}: give a promoter's or an owner's key with --identity PEM, or have an owner run \`icfs grant ${id} ${manager.principal} promoter\``,
  });
  await c.owner("grant", id, manager.principal, "promoter");
  t.match(await manager.icfs("promote", id, "1", "stable", "--note", "boots\non all"), {
    code: 0,
    stdout: `stable of ${id} stands for release 1 (record 1)\n`,
  });
  t.match(await c.icfs(["cat", `${id}@stable`, "file"]), { code: 0, stdout: "the good one" });
  await c.owner("promote", id, "2", "canary");
  t.equal(
    await c.owner("promote", id, "canary", "stable"),
    `stable of ${id} stands for release 2 (record 2); until now it stood for release 1\n`,
  );
  t.match(await c.icfs(["cat", `${id}@stable`, "file"]), { code: 0, stdout: "another" });
  t.match(JSON.parse(await c.owner("promote", id, "1", "stable", "--json")), {
    channel: "stable",
    serial: 3,
    release: 1,
    header: first.header,
    before: 2,
    changed: true,
  });
  t.match(await c.owner("promote", id, "1", "stable"), /stands for release 1 already .*nothing was done/);

  await t.test("channels and their history are listed", async (t) => {
    const { channels } = JSON.parse(await c.owner("channel", id, "--json"));
    t.match(
      channels,
      exactly(
        { channel: "canary", serial: 1, release: 2, header: second.header, setBy: own },
        { channel: "stable", serial: 3, release: 1, header: first.header, setBy: own },
      ),
    );
    t.match(await c.icfs(["channel", id, "--note", "x"]), { code: 2, stderr: /--note is for --delete/ });
    const env = { ...c.env, ICFS_NOTE: "for what is published" };
    t.match(await c.icfs(["channel", id], { env }), { code: 0, stdout: /^canary: release 2$/m });
    t.match(
      await c.owner("channel", id, "stable", "--history"),
      new RegExp(
        String.raw`^stable: release 1\n.*\n  set +\S+Z by ${own} \(record 3\)\nstable: release 2\n.*\n.*\(record 2\)\nstable: release 1\n  header  ${first.header}\n  set +\S+ by ${manager.principal} \(record 1\)\n  note    boots\\non all\n$`,
      ),
    );
    t.match(JSON.parse(await c.owner("roles", id, "--json")), { promoters: exactly(manager.principal) });
    t.match(await c.owner("trust", "show"), new RegExp(`^${id}@stable 1 [0-9a-f]{64} `, "m"));
    t.match(await c.owner("revoke", id, manager.principal), `${manager.principal} was a promoter of`);
  });

  await t.test("a deleted or unknown channel is an error", async (t) => {
    t.match(
      await c.owner("channel", id, "canary", "--delete"),
      /is deleted \(record 2\); it stood for release 2/,
    );
    for (const args of [
      ["cat", `${id}@canary`, "file"],
      ["cat", `${id}@beta`, "file"],
      ["channel", id, "canary"],
    ]) {
      t.match(
        await c.icfs(args),
        { code: 1, stderr: /has no channel (canary|beta): `icfs channel/ },
        args.join(" "),
      );
    }
    t.match(await c.icfs(["promote", id, "canary", "stable"]), { code: 1, stderr: /there are stable/ });
    t.match(await c.icfs(["promote", id, "7", "stable"]), { code: 1, stderr: /has no release 7/ });
  });

  await t.test("a mirror and icfs serve give a channel without the network", async (t) => {
    const mirror = join(c.directory, "mirror");
    const mirrored = JSON.parse(await c.owner("mirror", `${id}@stable`, mirror, "--json"));
    t.match(mirrored, { release: 1, channel: "stable", serial: Number, newest: 2 });
    t.match(await c.icfs(["mirror", id, mirror]), {
      code: 1,
      stderr: /is a mirror of something else \(it has .icfs\/channel\/stable\)/,
    });
    const serving = c.icfs(["serve", `${id}@stable`, "--listen", "0", "--json"], {
      started(child) {
        t.teardown(() => void child.kill("SIGTERM"));
        child.stdout!.once("data", (text: string) => served.resolve(JSON.parse(text)));
      },
    });
    const served = Promise.withResolvers<{ url: string }>();
    const { url } = await Promise.race([
      served.promise,
      serving.then(({ stderr }) => Promise.reject(new Error(stderr))),
    ]);
    const rootKey = Buffer.from(c.rootKey).toString("hex");
    for (const place of [`file:${mirror}`, url]) {
      const alone = (release: string) =>
        c.icfs(["cat", release, "file", "--mirror", place, "--mirror-only", "--root-key", rootKey]);
      t.match(await alone(`${id}@stable`), { code: 0, stdout: "the good one" }, place);
      t.match(await alone(id), { code: 1, stderr: /no mirror has the newest release/ }, place);
    }
  });

  await t.test("a promotion is refused when somebody else promotes in between", async (t) => {
    const proxy = await startFaultProxy(t, c.url);
    let other: Promise<string> | undefined;
    let done = false;
    // This promotion is held back until the other one is done.
    proxy.fault = faultFor("promote", () => {
      other ??= c.owner("promote", id, "2", "stable").finally(() => {
        done = true;
      });
      return done ? "none" : { status: 503 };
    });
    const env = { ...c.env, ICFS_NETWORK: proxy.url };
    t.match(await c.icfs(["promote", id, "2", "stable", "--note", "me"], { env }), {
      code: 1,
      stdout: "",
      stderr: /conflict: somebody else changed channel stable meanwhile \(its last record is 4\)/,
    });
    await other;
  });

  await t.test("a promotion whose answer is lost is found, and made once", async (t) => {
    const proxy = await startFaultProxy(t, c.url);
    let lost = 0;
    proxy.fault = faultFor("promote", () => {
      lost += 1;
      return lost === 1 ? "lost" : "none";
    });
    const env = { ...c.env, ICFS_NETWORK: proxy.url };
    t.match(await c.icfs(["promote", id, "1", "stable"], { env }), {
      code: 0,
      stdout: /release 1 \(record 5\)/,
    });
    t.match(JSON.parse(await c.owner("channel", id, "--json")), { channels: exactly({ serial: 5 }) });
  });
});
