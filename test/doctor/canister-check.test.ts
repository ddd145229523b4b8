/** What the check of a canister reports: its kind, what vouches for its data, and why it cannot be read. */
import t from "tap";
import { canister } from "../../lib/doctor/canister-check.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";
import { startIcboot } from "../support/icboot.ts";
import { startOwnedCanister } from "../support/people.ts";

t.test("nothing is reported when no canister is given", async (t) => {
  t.same(await canister.run(await hostWith(t, {})), []);
});

t.test("an icboot canister gets a warning, because only one node vouches for it", async (t) => {
  const { network, canister: id, put } = await startIcboot(t);
  const host = await hostWith(t, {}, { network, canister: { canister: id } });
  await t.rejects(canister.run(host), { message: /has no files yet/ });
  await put("file", Buffer.from("content"));
  t.match(
    await canister.run(host),
    exactly({
      level: "warn",
      message: /of kind icboot, signed by the node that answered, and certified by nobody$/,
      advice: /^--trust replicated/,
    }),
  );
});

t.test("an icfs canister: before its first release, at an older one, and private", async (t) => {
  const c = await startOwnedCanister(t);
  const at = async (more = {}, release?: number) =>
    canister.run(
      await hostWith(
        t,
        {},
        { network: c.network, canister: { canister: c.canister, ...(release && { release }) }, ...more },
      ),
    );
  await t.rejects(at(), { message: /has no release yet: `icfs publish/ });
  await c.publish("first");
  await c.publish("second");
  t.match(
    await at({}, 1),
    exactly({ level: "ok", message: /can be read: release 1, of kind icfs, certified/ }),
  );
  await t.rejects(at({}, 3), { message: /has no release 3: the newest is 2/ });
  await c.owner("configure", c.id, "--private");
  await t.rejects(at(), { message: /is private, and no key was given/ });
  t.match(await at({ identity: c.identity }), exactly({ level: "ok", message: /release 2/ }));
});
