/**
 * Prometheus itself over a real mount, with the output of `icfs example`; and the queries of the dashboard and of docs/OPERATIONS.md.
 * Debian has no package of Grafana: of its dashboard only the queries are tried, and that it is JSON.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { freePort } from "../../../demo/free-port.ts";
import { Process } from "../../../demo/process.ts";
import { eventually } from "../../mount/mounts.ts";
import { type Block, blocksOf } from "../../support/documented.ts";
import { exactly } from "../../support/exactly.ts";
import { HUNG } from "../../support/icfs.ts";
import { startMountable } from "../../support/mountable.ts";

t.setTimeout(30 * HUNG);

const PROMETHEUS = join(import.meta.dirname, "../../../build/prometheus/usr/bin/prometheus");

interface Answer {
  readonly data: {
    readonly result?: readonly {
      readonly metric: Record<string, string>;
      readonly value: [number, string];
    }[];
    readonly groups?: readonly {
      readonly rules: readonly { readonly name: string; readonly health: string }[];
    }[];
  };
}

interface Dashboard {
  readonly panels: readonly { readonly id: number; readonly targets: readonly { readonly expr: string }[] }[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

t.test("Prometheus reads the configuration, scrapes the mount and evaluates every rule", async (t) => {
  const c = await startMountable(t);
  await c.publish({ "pxelinux.0": "loader\n" });
  const metrics = `127.0.0.1:${await freePort()}`;
  const mount = await c.mount("--metrics", metrics);
  const of = (name: string) => join(c.directory, name);
  const printed = async (...args: string[]) => (await c.icfs(["example", ...args])).stdout;
  await writeFile(of("alerts.yml"), await printed("alerts"));
  const configuration = await printed("prometheus", c.id, "--metrics", metrics, "--alerts", of("alerts.yml"));
  await writeFile(of("prometheus.yml"), configuration);
  await mkdir(of("prometheus"));
  const at = `127.0.0.1:${await freePort()}`;
  await using _ = new Process(
    PROMETHEUS,
    [
      `--config.file=${of("prometheus.yml")}`,
      `--storage.tsdb.path=${of("prometheus")}`,
      `--web.listen-address=${at}`,
    ],
    process.env,
  );
  const ask = async (path: string): Promise<Answer["data"]> => {
    const answer = await fetch(`http://${at}/api/v1/${path}`).catch(() => undefined);
    return answer?.ok ? ((await answer.json()) as Answer).data : {};
  };
  await eventually("it has scraped the mount", async () => {
    const { result = [] } = await ask("query?query=icfs_release");
    return result.length > 0;
  });
  t.match(
    (await ask("query?query=icfs_release")).result,
    exactly({
      metric: { job: "icfs", canister: c.id, mountpoint: mount.mountpoint },
      value: exactly(Number, "1"),
    }),
  );
  let rules: readonly { readonly name: string; readonly health: string }[] = [];
  await eventually("it has evaluated the rules", async () => {
    rules = (await ask("rules")).groups?.[0]?.rules ?? [];
    return rules.length > 0 && rules.every(({ health }) => health !== "unknown");
  });
  t.equal(rules.length, (await printed("alerts")).split("alert: ").length - 1);
  for (const { name, health } of rules) t.equal(health, "ok", name);

  const dashboard: Dashboard = JSON.parse(await printed("grafana"));
  const { panels, templating } = dashboard;
  t.same(
    panels.map(({ id }) => id),
    panels.map((_, i) => i + 1),
  );
  t.same(
    templating.list.map(({ name }) => name),
    ["datasource", "canister"],
    "the dashboard has the variables that its queries use",
  );
  const empty = [];
  for (const { expr } of panels.flatMap(({ targets }) => targets)) {
    const query = expr.replaceAll("$canister", ".*").replaceAll("$__rate_interval", "1m");
    t.notMatch(query, /\$/);
    const { result } = await ask(`query?query=${encodeURIComponent(query)}`);
    t.ok(result, query);
    if (result?.length === 0) empty.push(query);
  }
  // The mount has no mirrors and no channel, and a value that was scraped only once has not increased.
  for (const query of empty) t.match(query, /icfs_(mirror|channel)_|increase|rate/);
  const documented = await blocksOf("OPERATIONS.md");
  const [{ text: hosts }] = documented.filter(({ language }) => language === "promql") as [Block];
  t.match(await ask(`query?query=${encodeURIComponent(hosts)}`), {
    result: exactly({ metric: { canister: c.id, release: "1" }, value: exactly(Number, "1") }),
  });
  await mount.umount();
});
