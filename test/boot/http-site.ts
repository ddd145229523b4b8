/**
 * A site whose machines boot from a canister's URL, in a network of its own: stock dnsmasq and nginx, with the files of examples/ as their
 * configurations, but for where the files lie and which network device it is. Between nginx and the local network's gateway stands what
 * writes down what is asked of the canister.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, request } from "node:http";
import { join } from "node:path";
import { GUEST_MAC, IPV6_PREFIX, type Namespace, TAP } from "../../demo/namespace.ts";
import { Process } from "../../demo/process.ts";

/** The id in examples/nginx.conf. */
export const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

const EXAMPLES = join(import.meta.dirname, "../../examples");
const NGINX = join(import.meta.dirname, "../../build/nginx/usr/sbin/nginx");
/** Where a machine with UEFI keeps its settings, as it comes. */
const OVMF = "/usr/share/OVMF";

export const example = (name: string): string => join(EXAMPLES, name);

export interface HttpSite extends AsyncDisposable {
  /** What nginx has asked the canister for: path and range, in order. */
  readonly asked: string[];
  /** Cuts nginx off from the canister. */
  cutOff(): Promise<void>;
}

export interface HttpSiteOptions {
  readonly namespace: Namespace;
  /** The local network's. */
  readonly url: string;
  /** For its files; it is made. */
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
}

/** @throws Error, and nothing is left then */
export async function startHttpSite({ namespace, url, directory, env }: HttpSiteOptions): Promise<HttpSite> {
  await using stack = new AsyncDisposableStack();
  await mkdir(directory);
  const socket = join(directory, "gateway");
  const { asked, close } = await writtenDown(url, socket);
  stack.defer(close);
  await startNginx(
    stack,
    { namespace, directory, env },
    await siteConfiguration(socket, join(directory, "cache")),
  );
  const dnsmasq = await readFile(example("dnsmasq.conf"), "utf8");
  const configuration = join(directory, "dnsmasq.conf");
  await writeFile(configuration, replaced(dnsmasq, "interface=boot0", `interface=${TAP}`));
  const options = [
    ...[
      "--keep-in-foreground",
      `--conf-file=${configuration}`,
      "--log-facility=-",
      "--pid-file=",
      "--leasefile-ro",
    ],
    ...["--user=nobody", "--group=nogroup"],
    // iPXE waits 13 s for a router, and dnsmasq 3 s for an answer to a ping, which a test need not.
    ...["--no-ping", "--enable-ra", `--dhcp-range=${IPV6_PREFIX},ra-only`],
  ];
  const server = stack.use(new Process(...namespace.inside("dnsmasq", options), env));
  await server.until(/started, version/, { seconds: 20 });
  const all = stack.move();
  return { asked, cutOff: close, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** The example, which asks `socket` in place of the main network's gateway. */
async function siteConfiguration(socket: string, cache: string): Promise<string> {
  let text = await readFile(example("nginx.conf"), "utf8");
  text = replaced(text, "server icp0.io:443;", `server unix:${socket};`);
  text = replaced(text, "proxy_pass https://icfs", "proxy_pass http://icfs");
  return replaced(text, "/var/cache/nginx/icfs", cache);
}

/** @throws Error when it is not there: then a test would run what nobody has */
function replaced(text: string, what: string, by: string): string {
  if (!text.includes(what)) throw new Error(`there is no "${what}" in the example`);
  return text.replaceAll(what, by);
}

/** Starts nginx with what stands in its `http` block, and returns when it serves. It is stopped with `stack`. */
export async function startNginx(
  stack: AsyncDisposableStack,
  {
    namespace,
    directory,
    env,
  }: Pick<HttpSiteOptions, "directory" | "env"> & {
    readonly namespace: Pick<Namespace, "inside">;
  },
  http: string,
): Promise<void> {
  const of = (name: string) => join(directory, `nginx-${name}`);
  const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const temporary = kinds.map((kind) => `${kind}_temp_path ${of(kind)};`).join(" ");
  const configuration = of("conf");
  await writeFile(
    configuration,
    `daemon off; pid ${of("pid")}; error_log stderr notice; user root;
events {}
http { access_log off; sendfile on; ${temporary}
${http}
}
`,
  );
  const command = namespace.inside(NGINX, ["-c", configuration, "-e", "stderr"]);
  const nginx = stack.use(new Process(...command, env));
  await nginx.until(/start worker process /, { seconds: 20 });
}

/** A proxy on a Unix socket, whose path is the same in every network namespace, that writes down what it passes on to `url`. */
async function writtenDown(
  url: string,
  socket: string,
): Promise<{ asked: string[]; close: () => Promise<void> }> {
  const asked: string[] = [];
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, outgoing) => {
    const { method = "GET", headers, url: path = "/" } = incoming;
    asked.push([path, headers.range].filter((part) => part !== undefined).join(" "));
    // The path as it came: URL would change it.
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
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/**
 * Switches a machine with UEFI on; its output is its console.
 *
 * @param settings a file for the firmware's settings, which is made
 * @param byTftp whether it tries that, too, and first
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
      // Without the card's own iPXE the firmware does it.
      ...["-device", `virtio-net-pci,netdev=net,mac=${GUEST_MAC},romfile=`, "-device", "virtio-rng-pci"],
    ]),
    env,
  );
}
