/** The caches that a site may have, with the configurations that `icfs example` prints. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Process, run } from "../../demo/process.ts";
import { BIN } from "../support/icfs.ts";

const ROOT = join(import.meta.dirname, "../..");
export interface EngineOptions {
  /** For the cache's files. The engine makes it. */
  readonly directory: string;
  /** The port on 127.0.0.1 where the cache listens. */
  readonly port: number;
  /** The URL from which the cache fetches, by HTTP. */
  readonly origin: string;
  readonly canister: string;
}

/** Starts a cache without anything from before. Resolves when it serves. */
export type Engine = (options: EngineOptions) => Promise<Process>;

export const nginx: Engine = async ({ directory, port, origin, canister }) => {
  await mkdir(directory);
  const of = (name: string) => join(directory, name);
  const http = await printed("nginx", { origin, canister, port, store: of("cache") });
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

/** Squid is not installed, only unpacked: it is told where its own files are. */
export const squid: Engine = async ({ directory, port, origin, canister }) => {
  await mkdir(join(directory, "cache"), { recursive: true });
  const of = (name: string) => join(directory, name);
  const text = await printed("squid", { origin, canister, port, store: of("cache") });
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
  // Squid refuses to run as root, and the user that it would switch to cannot read these files: so root gets another name.
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

/** What `icfs example` prints for a cache in front of the canister at `origin`. */
function printed(
  name: string,
  {
    origin,
    canister,
    port,
    store,
  }: { readonly origin: string; readonly canister: string; readonly port: number; readonly store: string },
): Promise<string> {
  const url = `http://${canister}.localhost:${new URL(origin).port}`;
  const cache = ["--listen", `127.0.0.1:${port}`, "--store", store];
  return run(BIN, ["example", name, canister, "--origin", url, ...cache], { seconds: 120 });
}
