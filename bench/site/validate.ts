/**
 * Validates the simulation: hosts that run the same code in this process, and a real nginx with examples/nginx.conf in front of a
 * local network's gateway, in real time, so that the counts can be compared. Needs root, and nginx below build/ (scripts/setup.sh
 * bench).
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../../demo/free-port.ts";
import { Process } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";
import { parseCanisterId } from "../../lib/ic/canister-id.ts";
import { verifySignature } from "../../lib/ic/certificate/bls.ts";
import { networkStatus } from "../../lib/ic/network.ts";
import { startNetwork } from "../dnsmasq/icfs.ts";
import { Host } from "./host.ts";
import { makeRelease } from "./release.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/nginx.conf", import.meta.url));
const NGINX = fileURLToPath(new URL("../../build/nginx/usr/sbin/nginx", import.meta.url));
/** Megabits. */
const MBIT_A_MIB = 8 * 1.048576;

export interface Validated {
  /** Requests of nginx to the network's gateway, and those of them for the newest release. */
  readonly byNginx: number;
  readonly heads: number;
  /** Chunks that hosts fetched through the network's API. */
  readonly byIc: number;
  readonly chunks: number;
  /** Seconds until all hosts were ready. */
  readonly seconds: number;
}

export interface Line {
  readonly mebibytes: number;
  readonly roundTrip: number;
  /** Megabits a second. */
  readonly uplink: number;
}

/** Starts `hosts` cold hosts at once, behind a cold nginx. */
export async function validate(
  hosts: number,
  { mebibytes, roundTrip, uplink }: Line,
  workspace: Workspace,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Validated> {
  const { directory, env } = workspace;
  const tree = join(directory, "tree");
  await mkdir(tree);
  const { files } = makeRelease(mebibytes, 1);
  for (const { path, bytes } of files) {
    await mkdir(join(tree, path, ".."), { recursive: true });
    await writeFile(join(tree, path), bytes);
  }
  const weather = ["--latency", String(roundTrip), "--bandwidth", String(Math.round(uplink / MBIT_A_MIB))];
  const { url, canister } = await startNetwork(tree, weather, stack, { env, signal });
  const { rootKey } = await networkStatus(url);
  const nginx = await startNginx(directory, new URL(url).host, canister, stack, signal);
  // Records of accepted releases go to the workspace.
  process.env.XDG_STATE_HOME = env.XDG_STATE_HOME;
  const release = { canister: parseCanisterId(canister), rootKey };
  const time = {
    get now() {
      return performance.now();
    },
    sleep: (ms: number) => sleep(ms),
  };
  const start = performance.now();
  let had = 0;
  const all = Array.from({ length: hosts }, () => {
    const progress = () => {
      had += 1;
    };
    return new Host({
      time,
      release,
      blsVerify: async (...signed) => verifySignature(...signed),
      mbit: 1,
      progress,
    });
  });
  await Promise.all(all.map((host) => host.hydrate({ network: url, mirrors: [nginx.url] })));
  const seconds = (performance.now() - start) / 1000;
  const asked = (await readFile(nginx.log, "utf8")).split("\n").filter((line) => line.startsWith("asked "));
  const byMirrors = all
    .flatMap((host) => host.mirrors!.health())
    .reduce((sum, { chunks }) => sum + chunks, 0);
  return {
    byNginx: asked.length,
    heads: asked.filter((line) => line.includes("/.icfs/release")).length,
    byIc: had - byMirrors,
    chunks: had / hosts,
    seconds,
  };
}

async function startNginx(
  directory: string,
  origin: string,
  canister: string,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<{ url: string; log: string }> {
  const own = join(directory, "nginx");
  await mkdir(own);
  const port = await freePort();
  const log = join(own, "access.log");
  const example = (await readFile(EXAMPLE, "utf8"))
    .replaceAll("CANISTER", canister)
    .replace("listen 80;", `listen 127.0.0.1:${port};`)
    .replace("server icp0.io:443;", `server ${origin};`)
    .replaceAll("proxy_pass https://icfs", "proxy_pass http://icfs")
    .replaceAll("/var/cache/nginx/icfs", join(own, "cache"));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${join(own, kind)};`,
  );
  await writeFile(
    join(own, "nginx.conf"),
    `daemon off; pid ${join(own, "pid")}; error_log stderr notice; user root;
events {}
http {
  map $upstream_status $asked { default asked; "" kept; }
  log_format asked '$asked $uri $upstream_cache_status';
  access_log ${log} asked;
  sendfile on;
  ${temporary.join(" ")}
${example}
}
`,
  );
  const nginx = stack.use(new Process(NGINX, ["-c", join(own, "nginx.conf"), "-e", "stderr"]));
  await nginx.until(/start worker process /, { seconds: 30, signal });
  return { url: `http://127.0.0.1:${port}`, log };
}
