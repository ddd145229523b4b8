/** docs/MOUNT.md, "What else looks at a mount", with plocate's updatedb and the configuration that comes with it. */
import t from "tap";
import { documented } from "../support/documented.ts";
import { HUNG } from "../support/icfs.ts";
import { startSandbox } from "../support/sandbox.ts";

t.setTimeout(10 * HUNG);

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

t.test("updatedb skips a mount once it is configured to", async (t) => {
  const host = await startSandbox(t, () => ({ ICFS_NETWORK: "local" }));
  const done = async (commands: string) => {
    const { code, stdout, stderr } = await host.sh(commands);
    t.equal(code, 0, commands, { stdout, stderr });
    return stdout;
  };
  await done(`ln -s /opt/icfs/bin/icfs /usr/local/bin/icfs
    cp -a /opt/icfs/build/plocate/{etc,usr,var} /
    ln -sf updatedb.plocate /usr/sbin/updatedb
    getent group plocate || groupadd --system plocate
    mkdir -p tree /srv/other/mount
    touch tree/of-the-release /srv/other/of-the-host`);
  t.match(await host.startNetwork(), { code: 0 });
  await done(
    `icfs deploy --specified-id ${ID} && icfs publish tree ${ID} && icfs mount ${ID} /srv/other/mount`,
  );
  /** The names below /srv/other that updatedb finds. */
  const found = async () => {
    await done("updatedb --database-root /srv/other --output names --require-visibility no");
    return (await host.sh("plocate --database names of-the-")).stdout.trim().split("\n").sort();
  };
  const [ofTheHost, ofTheRelease] = ["/srv/other/of-the-host", "/srv/other/mount/of-the-release"];
  t.same(await found(), [ofTheRelease, ofTheHost], "as it comes");
  await done(await documented("MOUNT.md", "What else looks at a mount"));
  t.same(await found(), [ofTheHost]);
});
