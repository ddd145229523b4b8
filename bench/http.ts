/**
 * What a site's nginx has kept of a canister's URL (examples/nginx.conf), beside the same nginx over a local directory: `node bench/http.ts
 * [--runs 15] [--json]`, as root; `make bench-http`. A client on the same machine downloads a file of 64 MiB, by each in turn, and its
 * first download, from the canister, is told as well. Nothing may be asked of the canister from then on.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { deploy, publish, startLocalnet } from "../demo/icfs.ts";
import { interruptible } from "../demo/interruptible.ts";
import { makeNamespace } from "../demo/namespace.ts";
import { run } from "../demo/process.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { CANISTER, startHttpSite, startNginx } from "../test/boot/http-site.ts";
import { bytesOf } from "../test/publish/trees.ts";
import { median, sorted, spread } from "./median.ts";
import { print } from "./result.ts";

const MEBIBYTES = 64;
const NAME = "image";
const LEAST = 0.95;
/** Where the directory is served; nginx in front of the canister is at 80. */
const PLAIN_PORT = 8080;

const { values } = parseArgs({
  options: { runs: { type: "string", default: "15" }, json: { type: "boolean", default: false } },
});

await interruptible("bench-http", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const { directory, env } = stack.use(await makeWorkspace("icfs-bench"));
  const tree = join(directory, "tree");
  await mkdir(tree);
  await writeFile(join(tree, NAME), bytesOf(0, MEBIBYTES << 20));
  const { localnet, url } = await startLocalnet({ env, signal });
  stack.use(localnet);
  await deploy(CANISTER, url, { env, signal });
  await publish(tree, CANISTER, url, { env, signal });
  const namespace = stack.use(await makeNamespace(`icfs-bench-${process.pid}`));
  const site = stack.use(await startHttpSite({ namespace, url, directory: join(directory, "site"), env }));
  const plain = join(directory, "plain");
  await mkdir(plain);
  await startNginx(
    stack,
    { namespace, directory: plain, env },
    `server { listen ${PLAIN_PORT}; root ${tree}; }`,
  );

  /** Seconds of a download. */
  const download = async (path: string, port: number): Promise<number> => {
    const options = [
      "--silent",
      "--fail",
      "--output",
      "/dev/null",
      "--write-out",
      "%{size_download} %{time_total}",
    ];
    const command = namespace.inside("curl", [...options, `http://127.0.0.1:${port}${path}`]);
    const [size, seconds] = (await run(...command, { env, signal })).split(" ").map(Number);
    if (size !== MEBIBYTES << 20) throw new Error(`${path}: ${size} bytes`);
    return seconds!;
  };
  const kept = `/.icfs/at/1/${NAME}`;
  const first = await download(kept, 80);
  const asked = site.asked.length;
  const taken: { kept: number[]; plain: number[] } = { kept: [], plain: [] };
  for (let i = 0; i < Number(values.runs); i++) {
    taken.kept.push(await download(kept, 80));
    taken.plain.push(await download(`/${NAME}`, PLAIN_PORT));
  }
  const more = site.asked.length - asked;
  const ratio = median(sorted(taken.plain)) / median(sorted(taken.kept));
  const row = (what: string, seconds: number[]) => {
    const times = sorted(seconds);
    return [what, ...spread(times, 3), Math.round(MEBIBYTES / median(times))];
  };
  print(
    {
      title: "HTTP: what a site has kept",
      about: `A file of ${MEBIBYTES} MiB downloaded by curl from nginx on the same machine, which has it from a canister's URL in pieces of 1 MiB (examples/nginx.conf), and from the same nginx over a directory; ${values.runs} times each, in turn. The first download, through a local network's gateway, took ${first.toFixed(1)} s and ${asked} requests.`,
      tables: [
        {
          columns: ["nginx over", "s, median", "least", "most", "MiB/s"],
          rows: [row("what it has kept", taken.kept), row("a directory", taken.plain)],
        },
      ],
      goals: [
        {
          what: "speed of what nginx has kept, beside a directory",
          goal: `at least ${LEAST}`,
          measured: ratio.toFixed(2),
          met: ratio >= LEAST,
        },
        {
          what: "requests to the canister after the first download",
          goal: "0",
          measured: `${more}`,
          met: more === 0,
        },
      ],
    },
    values.json,
  );
});
