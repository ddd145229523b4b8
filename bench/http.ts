/**
 * Measures downloads through a site's nginx that caches a canister's URL (examples/nginx.conf), beside the same nginx over a
 * local directory: `node bench/http.ts [--runs 41] [--boots 15] [--json]`, as root; `make bench-http`. curl on the same machine
 * downloads a file of 64 MiB, and then a virtual machine's iPXE a file of 16 MiB, from each in turn. After the first fetch,
 * nothing may be requested from the canister.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { deploy, publish, startLocalnet } from "../demo/icfs.ts";
import { interruptible } from "../demo/interruptible.ts";
import { startMachine } from "../demo/machine.ts";
import { HOST_ADDRESS, makeNamespace } from "../demo/namespace.ts";
import { run } from "../demo/process.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { CANISTER, startHttpSite, startNginx } from "../test/boot/http-site.ts";
import { bytesOf } from "../test/publish/trees.ts";
import { median, sorted, spread } from "./median.ts";
import { print } from "./result.ts";
import { childrensProcessorTime } from "./usage.ts";

const LARGE = { name: "large", mebibytes: 64 };
const SMALL = { name: "small", mebibytes: 16 };
/** The goal: the least speed of the cache, as a share of the directory's. */
const LEAST = 0.95;
/** The port for the directory; nginx in front of the canister is at 80. */
const PLAIN_PORT = 8080;
/** The time limit of a download. During the first one, the local network computes signatures. */
const DOWNLOAD_SECONDS = 300;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "41" },
    boots: { type: "string", default: "15" },
    json: { type: "boolean", default: false },
  },
});

/**
 * Downloads from the cache and from the directory, over and over; nginx logs how long each download took. The first name is relative to
 * the script's URL, which is the cache's.
 */
const SCRIPT = `#!ipxe
:again
imgfetch --name kept ${SMALL.name}
imgfree kept
imgfetch --name plain http://${HOST_ADDRESS}:${PLAIN_PORT}/${SMALL.name}
imgfree plain
goto again
`;

/** The measurement of one download. */
interface Taken {
  readonly seconds: number;
  /** Milliseconds of processor time. */
  readonly nginx: number;
  readonly curl: number;
}

await interruptible("bench-http", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const { directory, env } = stack.use(await makeWorkspace("icfs-bench"));
  const tree = join(directory, "tree");
  await mkdir(tree);
  for (const [seed, { name, mebibytes }] of [LARGE, SMALL].entries())
    await writeFile(join(tree, name), bytesOf(seed, mebibytes << 20));
  await writeFile(join(tree, "boot.ipxe"), SCRIPT);
  const { localnet, url } = await startLocalnet({ env, signal });
  stack.use(localnet);
  await deploy(CANISTER, url, { env, signal });
  await publish(tree, CANISTER, url, { env, signal });
  const namespace = stack.use(await makeNamespace(`icfs-bench-${process.pid}`));
  const logs = { kept: join(directory, "kept.log"), plain: join(directory, "plain.log") };
  const site = stack.use(
    await startHttpSite({ namespace, url, directory: join(directory, "site"), env, log: logs.kept }),
  );
  const plain = join(directory, "plain");
  await mkdir(plain);
  const directoryNginx = await startNginx(
    stack,
    { namespace, directory: plain, env, log: logs.plain },
    `server { listen ${PLAIN_PORT}; root ${tree}; }`,
  );

  const download = async ({ name, mebibytes }: typeof LARGE, kept: boolean): Promise<Taken> => {
    const address = kept ? `127.0.0.1/.icfs/at/1/${name}` : `127.0.0.1:${PLAIN_PORT}/${name}`;
    const curl = `curl --silent --fail --output /dev/null --write-out '%{size_download} %{time_total}\n' http://${address}; times`;
    const { pid } = kept ? site.nginx : directoryNginx;
    const before = await childrensProcessorTime(pid!);
    const said = await run(...namespace.inside("bash", ["-c", curl]), {
      env,
      signal,
      seconds: DOWNLOAD_SECONDS,
    });
    const nginx = (await childrensProcessorTime(pid!)) - before;
    const [size, seconds] = said.split(/\s/).map(Number);
    if (size !== mebibytes << 20) throw new Error(`${address}: ${size} bytes`);
    // The shell's own times, then those of its children: user and system, 0m0.012s.
    const times = [...said.matchAll(/(\d+)m([\d.]+)s/g)].map(([, m, s]) => Number(m) * 60 + Number(s));
    return { seconds: seconds!, nginx, curl: (times[2]! + times[3]!) * 1000 };
  };
  const first = await download(LARGE, true);
  await download(SMALL, true);
  const asked = site.asked.length;
  const byCurl: Record<"kept" | "plain", Taken[]> = { kept: [], plain: [] };
  for (let i = 0; i < Number(values.runs); i++) {
    // Alternate the order: the second one finds the machine in the state that the first has left.
    for (const kept of i % 2 === 0 ? [true, false] : [false, true])
      byCurl[kept ? "kept" : "plain"].push(await download(LARGE, kept));
  }

  /** Seconds of each of iPXE's downloads so far. */
  const logged = async (log: string): Promise<number[]> => {
    const lines = (await readFile(log, "utf8")).split("\n").map((line) => line.split(" "));
    const whole = lines.filter(
      ([, sent, path]) => path?.endsWith(SMALL.name) && Number(sent) > SMALL.mebibytes << 20,
    );
    return whole.map(([seconds]) => Number(seconds));
  };
  const boots = Number(values.boots);
  const [keptBefore, plainBefore] = [(await logged(logs.kept)).length, (await logged(logs.plain)).length];
  const byMachine: Record<"kept" | "plain", number[]> = { kept: [], plain: [] };
  if (boots > 0) {
    await using _ = startMachine(namespace, { env });
    while (byMachine.plain.length < boots) {
      await sleep(500, undefined, { signal });
      byMachine.plain = (await logged(logs.plain)).slice(plainBefore);
      byMachine.kept = (await logged(logs.kept)).slice(keptBefore, keptBefore + byMachine.plain.length);
    }
  }

  const more = site.asked.slice(asked).filter((request) => !request.includes("boot.ipxe")).length;
  const middle = (numbers: readonly number[]) => median(sorted(numbers));
  const all = ({ nginx, curl }: Taken) => nginx + curl;
  const row = (what: string, taken: readonly Taken[]) => {
    const times = sorted(taken.map(({ seconds }) => seconds));
    const ms = [taken.map(({ nginx }) => nginx), taken.map(({ curl }) => curl)].map((one) =>
      middle(one).toFixed(1),
    );
    return [what, ...spread(times, 3), Math.round(LARGE.mebibytes / median(times)), ...ms];
  };
  const machineRow = (what: string, seconds: readonly number[]) => {
    const times = sorted(seconds);
    return [what, ...spread(times, 2), (SMALL.mebibytes / median(times)).toFixed(1)];
  };
  /** Ratios within pairs that were measured together, so that other load on the machine affects both. */
  const ratio = <T>(plain: readonly T[], kept: readonly T[], of: (one: T) => number) =>
    middle(plain.map((one, i) => of(one) / of(kept[i]!)));
  const goal = (what: string, measured: number) => ({
    what,
    goal: `at least ${LEAST}`,
    measured: measured.toFixed(2),
    met: measured >= LEAST,
  });
  print(
    {
      title: "HTTP: what a site has kept",
      about: `Files downloaded from nginx on the same machine, which has them from a canister's URL in pieces of 1 MiB (examples/nginx.conf), and from the same nginx over a directory, in turn: ${LARGE.mebibytes} MiB by curl, ${values.runs} times each, and ${SMALL.mebibytes} MiB by a virtual machine's iPXE, ${values.boots} times each. The first download, through a local network's gateway and TLS, took ${first.seconds.toFixed(1)} s. Ratios are medians of those of each pair.`,
      tables: [
        {
          columns: [
            "by curl, from nginx over",
            "s, median",
            "least",
            "most",
            "MiB/s",
            "nginx's CPU, ms",
            "curl's",
          ],
          rows: [row("what it has kept", byCurl.kept), row("a directory", byCurl.plain)],
        },
        ...(boots === 0
          ? []
          : [
              {
                columns: ["by iPXE, from nginx over", "s, median", "least", "most", "MiB/s"],
                rows: [
                  machineRow("what it has kept", byMachine.kept),
                  machineRow("a directory", byMachine.plain),
                ],
              },
            ]),
      ],
      goals: [
        goal(
          "speed of what nginx has kept, beside a directory, by curl",
          ratio(byCurl.plain, byCurl.kept, (one) => one.seconds),
        ),
        goal("the same, in processor time of nginx and curl", ratio(byCurl.plain, byCurl.kept, all)),
        ...(boots === 0
          ? []
          : [
              goal(
                "the same, by a machine's iPXE",
                ratio(byMachine.plain, byMachine.kept, (one) => one),
              ),
            ]),
        {
          what: "requests to the canister after the first download, except for the machine's script",
          goal: "0",
          measured: `${more}`,
          met: more === 0,
        },
      ],
    },
    values.json,
  );
});
