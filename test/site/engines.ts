/** The caches that a site may have, with the files of examples/ as they stand but for addresses and directories. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { Process, run } from "../../demo/process.ts";

const ROOT = join(import.meta.dirname, "../..");
/** The id in the examples. */
export const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

export interface EngineOptions {
  /** For its files; it is made. */
  readonly directory: string;
  /** Where it listens on 127.0.0.1. */
  readonly port: number;
  /** What it asks, by HTTP. */
  readonly origin: string;
  readonly canister: string;
}

/** Starts a cache, which keeps nothing from before, and returns when it serves. */
export type Engine = (options: EngineOptions) => Promise<Process>;

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export const nginx: Engine = async ({ directory, port, origin, canister }) => {
  await mkdir(directory);
  const of = (name: string) => join(directory, name);
  const http = await example("nginx.conf", [
    [CANISTER, canister],
    ["listen 80;", `listen 127.0.0.1:${port};`],
    ["server icp0.io:443;", `server ${new URL(origin).host};`],
    ["proxy_pass https://icfs", "proxy_pass http://icfs"],
    ["/var/cache/nginx/icfs", of("cache")],
  ]);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${of(kind)};`)
    .join(" ");
  await writeFile(
    of("nginx.conf"),
    `daemon off; pid ${of("pid")}; error_log stderr notice; user root;
events {}
http { access_log off; sendfile on; ${temporary}
${http}
}
`,
  );
  return started(
    new Process(join(ROOT, "build/nginx/usr/sbin/nginx"), ["-c", of("nginx.conf"), "-e", "stderr"]),
    /start worker process /,
  );
};

/** Nothing of it is installed: where it looks for its own files is said besides. */
export const squid: Engine = async ({ directory, port, origin, canister }) => {
  await mkdir(join(directory, "cache"), { recursive: true });
  const of = (name: string) => join(directory, name);
  const { hostname, port: originPort } = new URL(origin);
  const text = await example("squid.conf", [
    [`cache_peer ${CANISTER}.icp0.io parent 443`, `cache_peer ${hostname} parent ${originPort}`],
    [" originserver tls", " originserver"],
    [CANISTER, canister],
    ["http_port 3128", `http_port 127.0.0.1:${port}`],
    ["/var/spool/squid/icfs", of("cache")],
  ]);
  const build = join(ROOT, "build");
  await writeFile(
    of("squid.conf"),
    `${text}
visible_hostname cache
pid_filename none
pinger_enable off
netdb_filename none
access_log none
cache_log stdio:/dev/stderr
coredump_dir ${directory}
mime_table ${build}/squid-common/usr/share/squid/mime.conf
icon_directory ${build}/squid-common/usr/share/squid/icons
error_directory ${build}/squid-langpack/usr/share/squid-langpack/en
err_page_stylesheet ${build}/squid/etc/squid/errorpage.css
unlinkd_program ${build}/squid/usr/lib/squid/unlinkd
logfile_daemon ${build}/squid/usr/lib/squid/log_file_daemon
`,
  );
  // It refuses to be root, and whom it would become cannot come here: so root is called something else.
  const program = ["--user", "--map-user=1", "--map-group=1", join(build, "squid/usr/sbin/squid"), "-N"];
  await run("unshare", [...program, "-z", "-f", of("squid.conf")]);
  return started(
    new Process("unshare", [...program, "-d", "1", "-f", of("squid.conf")]),
    /Accepting reverse-proxy/,
  );
};

async function started(process: Process, serves: RegExp): Promise<Process> {
  try {
    await process.until(serves, { seconds: 30 });
    return process;
  } catch (error) {
    await process.stop();
    throw error;
  }
}

/** @throws Error when something is not there: then a test would run what nobody has */
async function example(name: string, changes: readonly [string, string][]): Promise<string> {
  let text = await readFile(join(ROOT, "examples", name), "utf8");
  for (const [what, by] of changes) {
    const changed = text.replaceAll(what, by);
    if (changed === text) throw new Error(`there is no "${what}" in the example`);
    text = changed;
  }
  return text;
}
