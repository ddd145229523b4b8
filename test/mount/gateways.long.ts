/** A mount, and a publication, over several gateways, some of which are down, silent, busy, or lie. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import t, { type Test } from "tap";
import { metricsOf } from "../../lib/live/report/metrics.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { startMountable } from "../support/mountable.ts";
import { HUNG, sh } from "./mounts.ts";

t.setTimeout(30 * HUNG);

const MiB = 1024 * 1024;
const c = await startMountable(t);
await c.publish({
  "pxelinux.0": "loader\n",
  ...Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`file-${i}`, randomBytes(MiB + i)])),
});

/** A gateway of the network, with a fault for all requests. */
async function gateway(t: Test, fault: Fault | (() => Fault), everywhere = true): Promise<FaultProxy> {
  const proxy = await startFaultProxy(t, c.url);
  proxy.fault = () =>
    typeof fault === "function" && fault.length === 0 ? (fault as () => Fault)() : (fault as Fault);
  return Object.assign(proxy, { everywhere });
}

async function down(t: Test): Promise<FaultProxy> {
  return Object.assign(await gateway(t, "none"), { down: true });
}

/** Mounts cold, so that every byte comes from the network, and reads everything. */
async function readAll(t: Test, proxies: readonly FaultProxy[]) {
  const network = proxies.map(({ url }) => url).join(",");
  const cold = ["--max-cache-size", "0", "--prefetch", "none", "--read-timeout", "20", "--refresh", "0"];
  const mount = await c.mount("--network", network, ...cold);
  t.equal((await sh("diff", "-r", c.tree, mount.mountpoint)).stdout, "");
  const status = await mount.status();
  t.match(status, { network, readers: { errors: 0 }, cache: { failingSince: undefined } });
  t.notOk(status.lastError, "no read has failed");
  return { mount, status, gateways: status.gateways };
}

t.test("of four gateways, one is down, one silent, one lies, and one is good", async (t) => {
  const proxies = [
    await down(t),
    await gateway(t, "silence"),
    await gateway(t, "flip", false),
    await gateway(t, "none"),
  ];
  const { mount, status, gateways } = await readAll(t, proxies);
  const [isDown, isSilent, lies, good] = gateways;
  t.same(
    gateways.map(({ url }) => url),
    proxies.map(({ url }) => url),
  );
  t.equal(isDown!.answers, 0);
  t.ok(isDown!.failures > 0);
  t.equal(isSilent!.answers, 0);
  t.ok(good!.answers > 4 && good!.aside === undefined, JSON.stringify(good));
  t.equal(good!.wrong, 0);
  // The lying gateway may never have been the first to answer: then nobody has looked at its answers.
  const log = await mount.log();
  // The log says it even if the gateway is back by now: at first it is put aside for a second only.
  t.match(log, `the gateway ${isDown!.url} is put aside: `);
  t.equal(lies!.wrong > 0, log.includes(`${lies!.url} is put aside: its answer was wrong: `));

  const { stdout } = await c.icfs(["status", mount.mountpoint]);
  for (const { url } of proxies)
    t.match(stdout, new RegExp(`^  gateway +${url}: \\d+ answers.*\\d+ wrong`, "m"));
  const metrics = await metricsOf(status);
  const named = (name: string, url: string) =>
    new RegExp(`^${name}\\{gateway="${url}",.*\\} (\\S+)$`, "m").exec(metrics)?.[1];
  t.equal(named("icfs_gateway_answers_total", good!.url), `${good!.answers}`);
  t.equal(named("icfs_gateway_failures_total", isDown!.url), `${isDown!.failures}`);
  t.equal(named("icfs_gateway_aside", isDown!.url), isDown!.aside ? "1" : "0");
  t.equal(named("icfs_gateway_aside", good!.url), "0");
  t.equal(named("icfs_gateway_wrong_total", lies!.url), `${lies!.wrong}`);
  t.equal(named("icfs_gateway_usual_seconds", isDown!.url), undefined, "not known");
  await mount.umount();
});

t.test("of three gateways, one is down, one silent, and one lies every other time", async (t) => {
  let answers = 0;
  const proxies = [
    await down(t),
    await gateway(t, "silence"),
    await gateway(t, () => (answers++ % 2 === 0 ? "flip" : "none"), false),
  ];
  const { mount, gateways } = await readAll(t, proxies);
  t.ok(gateways[2]!.wrong > 0, JSON.stringify(gateways));
  t.match(await mount.log(), `the gateway ${proxies[2]!.url} is put aside: its answer was wrong: `);
  await mount.umount();
});

t.test("a gateway that limits requests is left alone for as long as it says", async (t) => {
  const busy = await gateway(t, { status: 429, headers: { "retry-after": "3600" } });
  const good = await gateway(t, "none");
  const { mount, status, gateways } = await readAll(t, [busy, good]);
  t.match(gateways[0], { answers: 0, failures: 0, aside: { why: "HTTP status 429" } });
  t.match(await metricsOf(status), new RegExp(`^icfs_gateway_aside\\{gateway="${busy.url}",.*\\} 1$`, "m"));
  // On a busy machine the good one may be late. The busy one refuses at once: if it were not put aside, it would always be asked first.
  t.ok(busy.queries < good.queries, `${busy.queries} and ${good.queries} queries`);
  await mount.umount();
});

t.test("a publication succeeds even if a gateway goes down meanwhile", async (t) => {
  const proxies = [await gateway(t, "none"), await gateway(t, "none")];
  let going: FaultProxy | undefined;
  let calls = 0;
  for (const proxy of proxies) {
    proxy.fault = (path) => {
      if (!path.endsWith("/call")) return "none";
      calls += 1;
      if (calls === 3) {
        // Either gateway may get the third call, as a busy machine may have taken the first for slow. It goes down, and the answer is lost.
        going = proxy;
        setImmediate(() => Object.assign(proxy, { down: true }));
      }
      return proxy === going ? "lost" : "none";
    };
  }
  const network = proxies.map(({ url }) => url).join(",");
  const before = (await c.source().head())!.header.number;
  const tree = join(c.directory, "larger");
  await sh("cp", "-r", c.tree, tree);
  for (let i = 0; i < 6; i++)
    await sh("dd", "if=/dev/urandom", `of=${join(tree, `more-${i}`)}`, "bs=1M", "count=1");
  const published = await c.icfs(["publish", tree, c.id, "--network", network]);
  t.match(published, { code: 0 }, published.stderr);
  t.ok(going?.down, "it has gone");
  const staying = proxies.find((proxy) => proxy !== going)!;
  t.ok(staying.calls > 3, `${staying.calls} calls`);
  t.equal((await c.source().head())!.header.number, before + 1, "one release");
  t.match(await c.icfs(["verify", c.id, tree, "--network", network]), { code: 0 });
});
