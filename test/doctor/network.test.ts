/** What is said of networks: a good one, none, others than one thinks, and clocks that are wrong. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import * as cbor from "@dfinity/cbor";
import t, { type Test } from "tap";
import { clock, reachable, rootKey } from "../../lib/doctor/network.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { startNetwork } from "../support/canister-network.ts";
import { hostWith } from "../support/hosts.ts";

interface Answer {
  readonly rootKey: Uint8Array;
  /** The Date that it sends, in milliseconds from now; undefined: none. */
  readonly off?: number | undefined;
  readonly body?: string;
}

/** What answers like a network that is asked for its status, and its URL. */
async function startStatus(t: Test, { rootKey, off, body }: Answer): Promise<string> {
  const server = createServer((_, response) => {
    response.sendDate = false;
    if (off !== undefined) response.setHeader("date", new Date(Date.now() + off).toUTCString());
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

  await t.test("one that is there", async (t) => {
    const host = await at(url);
    t.same(await reachable.run(host), [{ level: "ok", message: `${url} answers` }]);
    t.match(await rootKey.run(host), [{ level: "ok", message: /^fetched from the network/ }]);
    t.match(await clock.run(host), [{ level: "ok", message: /^within \d s of the network's, by the Date/ }]);
    t.match(await rootKey.run(await at(url, { rootKey: hex })), [
      { level: "ok", message: "given with --root-key" },
    ]);
    // The same one, by an address that is no loopback one.
    const elsewhere = await at(url.replace("127.0.0.1", "0.0.0.0"));
    await t.rejects(rootKey.run(elsewhere), { message: /is not known: give it with --root-key/ });
  });

  await t.test("none, and what is none", async (t) => {
    const portal = await startStatus(t, { rootKey: key, body: "<html>" });
    t.match(await reachable.run(await at(portal)), [
      { level: "fail", message: /is no IC network/, advice: /portal/ },
    ]);
    // Nothing listens there: it is for root, and for a service that nobody has.
    const host = await at("http://127.0.0.1:1");
    t.match(await reachable.run(host), [
      { level: "fail", message: /^no network answers at .*ECONNREFUSED/, advice: /icfs localnet/ },
    ]);
    t.same(await clock.run(host), []);
    const nobody = "http://127.0.0.1:1";
    const ic = await hostWith(
      t,
      {},
      {
        network: { ...resolveNetwork("ic"), url: nobody, gateways: [nobody] },
      },
    );
    t.match(await reachable.run(ic), [{ level: "fail", advice: /resolver, routes and firewall/ }]);
    t.match(await rootKey.run(ic), [{ level: "ok", message: "built in" }]);
  });

  await t.test("another one than the root key is of", async (t) => {
    const other = await at(url, { network: { ...resolveNetwork("ic"), url, gateways: [url] } });
    t.match(await rootKey.run(other), [{ level: "fail", message: /^it is built in, but .* another one/ }]);
  });

  await t.test("clocks", async (t) => {
    const of = async (off: number | undefined) =>
      clock.run(await at(await startStatus(t, { rootKey: key, off })));
    t.match(await of(0), [{ level: "ok" }]);
    t.match(await of(20_000), [{ level: "ok", message: /^within (19|20|21) s of/ }]);
    t.match(await of(-60_000), [
      {
        level: "warn",
        message: /clock is (59|60|61) s ahead of the network's, by the Date of its answer$/,
        advice: /^set it/,
      },
    ]);
    t.match(await of(600_000), [
      { level: "fail", message: /clock is 10 min behind the network's.*no certificate is accepted$/ },
    ]);
    t.match(await of(undefined), [{ level: "warn", message: /no Date/ }]);
  });
});
