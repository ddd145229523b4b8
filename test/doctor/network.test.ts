/** What the checks of the network report: a good network, none, another one than expected, and wrong clocks. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import * as cbor from "@dfinity/cbor";
import t, { type Test } from "tap";
import { clock, reachable, rootKey } from "../../lib/doctor/network.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { startNetwork } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";

interface Answer {
  readonly rootKey: Uint8Array;
  /** The time in the answer's Date header. */
  readonly date?: Date | undefined;
  readonly body?: string;
}

/** Starts a server that answers as a network does to a request for its status. @returns its URL */
async function startStatus(t: Test, { rootKey, date, body }: Answer): Promise<string> {
  const server = createServer((_, response) => {
    response.sendDate = false;
    if (date !== undefined) response.setHeader("date", date.toUTCString());
    response.end(body ?? cbor.encode({ root_key: rootKey }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

t.test("networks", async (t) => {
  const { url, rootKey: key } = await startNetwork(t);
  const hex = Buffer.from(key).toString("hex");
  const at = (name: string, more = {}) => hostWith(t, {}, { network: resolveNetwork(name), ...more });

  await t.test("a network that answers", async (t) => {
    const host = await at(url);
    t.same(await reachable.run(host), [{ level: "ok", message: `${url} answers` }]);
    t.match(await rootKey.run(host), exactly({ level: "ok", message: /^fetched from the network/ }));
    t.match(
      await clock.run(host),
      exactly({ level: "ok", message: /^within \d s of the network's, by the Date/ }),
    );
    t.match(
      await rootKey.run(await at(url, { rootKey: hex })),
      exactly({ level: "ok", message: "given with --root-key" }),
    );
    // The same network, by an address that is not a loopback address.
    const elsewhere = await at(url.replace("127.0.0.1", "0.0.0.0"));
    await t.rejects(rootKey.run(elsewhere), { message: /is not known: give it with --root-key/ });
  });

  await t.test("no network, and a server that is not a network", async (t) => {
    const portal = await startStatus(t, { rootKey: key, body: "<html>" });
    t.match(
      await reachable.run(await at(portal)),
      exactly({ level: "fail", message: /is not an IC network/, advice: /portal/ }),
    );
    // Nothing listens at port 1: only root can open it, and its service is not in use.
    const host = await at("http://127.0.0.1:1");
    t.match(
      await reachable.run(host),
      exactly({ level: "fail", message: /^no network answers at .*ECONNREFUSED/, advice: /icfs localnet/ }),
    );
    t.same(await clock.run(host), []);
    const nobody = "http://127.0.0.1:1";
    const ic = await hostWith(
      t,
      {},
      {
        network: { ...resolveNetwork("ic"), url: nobody, gateways: [nobody] },
      },
    );
    t.match(await reachable.run(ic), exactly({ level: "fail", advice: /resolver, routes and firewall/ }));
    t.match(await rootKey.run(ic), exactly({ level: "ok", message: "built in" }));
  });

  await t.test("a network that does not have the known root key", async (t) => {
    const other = await at(url, { network: { ...resolveNetwork("ic"), url, gateways: [url] } });
    t.match(
      await rootKey.run(other),
      exactly({ level: "fail", message: /^it is built in, but .* another one/ }),
    );
  });

  await t.test("clocks", async (t) => {
    // This host's time is half a second past the second, because an HTTP Date has only whole seconds.
    const askedAt = new Date("2026-01-01T12:00:00.500Z");
    /** @param off milliseconds by which the network's clock is ahead */
    const of = async (off: number | undefined) => {
      const date = off === undefined ? undefined : new Date(askedAt.getTime() + off);
      const host = await at(await startStatus(t, { rootKey: key, date }));
      return clock.run({ ...host, status: async () => ({ ...(await host.status())!, askedAt }) });
    };
    t.match(await of(0), exactly({ level: "ok", message: /^within 1 s of/ }));
    t.match(await of(20_000), exactly({ level: "ok", message: /^within 20 s of/ }));
    t.match(
      await of(-60_000),
      exactly({
        level: "warn",
        message: /clock is 60 s ahead of the network's, by the Date of its answer$/,
        advice: /^set it/,
      }),
    );
    t.match(
      await of(600_000),
      exactly({
        level: "fail",
        message: /clock is 10 min behind the network's.*no certificate is accepted$/,
      }),
    );
    t.match(await of(undefined), exactly({ level: "warn", message: /no Date/ }));
  });
});
