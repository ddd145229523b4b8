/**
 * A site, in a network of its own, whose machines boot from a canister's URL. It has stock dnsmasq and nginx, configured by `icfs example`
 * except for the paths of files. The main network's gateways have TLS, and the local network's gateway does not: so nginx asks a TLS proxy
 * with a certificate for the name that nginx expects. The proxy also writes down the requests.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { GUEST_MAC, IPV6_PREFIX, type Namespace, TAP } from "../../demo/namespace.ts";
import { Process, run } from "../../demo/process.ts";
import { BIN } from "../support/icfs.ts";
import { type Authority, makeAuthority } from "../support/private-authority.ts";

/** The canister's id in the examples. */
export const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

const EXAMPLES = join(import.meta.dirname, "../../examples");
const NGINX = join(import.meta.dirname, "../../build/nginx/usr/sbin/nginx");
/** The directory of Debian's UEFI firmware. */
const OVMF = "/usr/share/OVMF";

export const example = (name: string): string => join(EXAMPLES, name);

/** A server's certificate and its key, in PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

export interface Upstream {
  /** The path and range of each request from nginx to the canister, in order. */
  readonly asked: string[];
  /** The server names for which nginx has requested a certificate. */
  readonly names: Set<string>;
  /** Has issued the gateway's first certificate. nginx trusts no other authority. */
  readonly authority: Authority;
  /** Makes the gateway show another certificate from now on. */
  show(certificate: Certificate): void;
  /** Cuts nginx off from the canister. */
  cutOff(): Promise<void>;
}

export interface Cache extends Upstream {
  /** nginx's process. */
  readonly nginx: Process;
}

export interface HttpSite extends Cache, AsyncDisposable {}

export interface HttpSiteOptions {
  /** Default: the examples' canister. */
  readonly canister?: string;
  readonly namespace: Namespace;
  /** The local network's URL. */
  readonly url: string;
  /** A directory for the site's files, which is made. */
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  /** Where nginx logs the seconds, bytes and path of each request. Default: nowhere. */
  readonly log?: string | undefined;
}

/** @throws Error, after everything that was started is stopped */
export async function startHttpSite(site: HttpSiteOptions): Promise<HttpSite> {
  const { namespace, directory, env } = site;
  await using stack = new AsyncDisposableStack();
  const cache = await startCache(stack, site);
  const configuration = join(directory, "dnsmasq.conf");
  await writeFile(configuration, await printed(env, "dnsmasq", CANISTER, "--interface", TAP));
  const options = [
    ...[
      "--keep-in-foreground",
      `--conf-file=${configuration}`,
      "--log-facility=-",
      "--pid-file=",
      "--leasefile-ro",
    ],
    ...["--user=nobody", "--group=nogroup"],
    // Without these, iPXE waits 13 s for a router, and dnsmasq 3 s for an answer to a ping.
    ...["--no-ping", "--enable-ra", `--dhcp-range=${IPV6_PREFIX},ra-only`],
  ];
  const server = stack.use(new Process(...namespace.inside("dnsmasq", options), env));
  await server.until(/started, version/, { seconds: 20 });
  const all = stack.move();
  return { ...cache, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** Starts only the site's nginx and the gateway that it asks. They end with `stack`. */
export async function startCache(
  stack: AsyncDisposableStack,
  { canister = CANISTER, namespace, url, directory, env, log }: HttpSiteOptions,
): Promise<Cache> {
  await mkdir(directory);
  const socket = join(directory, "gateway");
  const authority = await makeAuthority(directory);
  const upstream = await startUpstream(url, socket, authority, `${canister}.icp0.io`);
  stack.defer(upstream.cutOff);
  let text = await printed(env, "nginx", canister, "--network", "ic", "--store", join(directory, "cache"));
  // The gateway is in another network namespace, and its certificate comes from the test's authority.
  text = replaced(text, "server icp0.io:443;", `server unix:${socket};`);
  text = replaced(text, "/etc/ssl/certs/ca-certificates.crt", authority.file);
  return { ...upstream, nginx: await startNginx(stack, { namespace, directory, env, log }, text) };
}

/** @throws Error when `what` is not in the example: the test would then use a configuration that nobody has */
function replaced(text: string, what: string, by: string): string {
  if (!text.includes(what)) throw new Error(`there is no "${what}" in the example`);
  return text.replaceAll(what, by);
}

/** What `icfs example` prints. */
export function printed(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  return run(BIN, ["example", ...args], { env, seconds: 120 });
}

/** Starts nginx with the content of its `http` block, and returns it when it serves. It ends with `stack`. */
export async function startNginx(
  stack: AsyncDisposableStack,
  {
    namespace,
    directory,
    env,
    log = "off",
  }: Pick<HttpSiteOptions, "directory" | "env" | "log"> & {
    readonly namespace: Pick<Namespace, "inside">;
  },
  http: string,
): Promise<Process> {
  const of = (name: string) => join(directory, `nginx-${name}`);
  const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const temporary = kinds.map((kind) => `${kind}_temp_path ${of(kind)};`).join(" ");
  const configuration = of("conf");
  await writeFile(
    configuration,
    `daemon off; pid ${of("pid")}; error_log stderr notice; user root;
events {}
http { log_format brief '$request_time $bytes_sent $uri'; access_log ${log === "off" ? log : `${log} brief`}; sendfile on; ${temporary}
${http}
}
`,
  );
  const command = namespace.inside(NGINX, ["-c", configuration, "-e", "stderr"]);
  const nginx = stack.use(new Process(...command, env));
  await nginx.until(/start worker process /, { seconds: 20 });
  return nginx;
}

/** A TLS proxy on a Unix socket, which every network namespace can reach. It writes down the requests that it passes on to `url`. */
async function startUpstream(
  url: string,
  socket: string,
  authority: Authority,
  name: string,
): Promise<Upstream> {
  const { key, cert } = await authority.certify(name);
  const asked: string[] = [];
  const names = new Set<string>();
  const agent = new Agent({ keepAlive: true });
  const server = createServer({ key, cert }, (incoming, outgoing) => {
    const { method = "GET", headers, url: path = "/" } = incoming;
    asked.push([path, headers.range].filter((part) => part !== undefined).join(" "));
    names.add(`${(incoming.socket as TLSSocket).servername}`);
    // The path is passed on as it came, because URL would normalize it.
    const { hostname, port } = new URL(url);
    const passed = request({ agent, hostname, port, path, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.on("error", () => outgoing.destroy());
      answer.pipe(outgoing);
    });
    passed.on("error", () => outgoing.destroy());
    outgoing.on("close", () => passed.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  let closed: Promise<void> | undefined;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(socket, { force: true });
    agent.destroy();
  };
  return {
    asked,
    names,
    authority,
    show({ key, cert }) {
      server.setSecureContext({ key, cert });
      server.closeAllConnections();
    },
    cutOff: () => {
      closed ??= close();
      return closed;
    },
  };
}

/**
 * Switches a machine with UEFI on. The output of the returned process is the machine's console.
 *
 * @param settings a file for the firmware's settings, which is made
 * @param byTftp whether the firmware also tries TFTP, before HTTP
 */
export async function startUefiMachine(
  namespace: Namespace,
  { settings, env, byTftp = false }: { settings: string; env: NodeJS.ProcessEnv; byTftp?: boolean },
): Promise<Process> {
  await writeFile(settings, await readFile(join(OVMF, "OVMF_VARS_4M.fd")));
  const without = byTftp ? ["IPv6PXESupport"] : ["IPv4PXESupport", "IPv6PXESupport"];
  return new Process(
    ...namespace.inside("qemu-system-x86_64", [
      ...["-machine", "q35", "-accel", "tcg", "-m", "1024"],
      ...["-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot"],
      ...["-drive", `if=pflash,format=raw,readonly=on,file=${join(OVMF, "OVMF_CODE_4M.fd")}`],
      ...["-drive", `if=pflash,format=raw,file=${settings}`],
      ...without.flatMap((name) => ["-fw_cfg", `name=opt/org.tianocore/${name},string=n`]),
      ...["-netdev", `tap,id=net,ifname=${TAP},script=no,downscript=no`],
      // Without the card's own iPXE, the firmware itself boots from the network.
      ...["-device", `virtio-net-pci,netdev=net,mac=${GUEST_MAC},romfile=`, "-device", "virtio-rng-pci"],
    ]),
    env,
  );
}
