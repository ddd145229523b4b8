/** icfs example: prints the configurations of examples/ for the programs around a mount, filled in with a site's own names. */
import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../errors.ts";
import { parseCanisterId } from "../ic/canister-id.ts";
import { gatewayUrl } from "../ic/gateway/gateway-url.ts";
import { resolveNetwork } from "../ic/network.ts";
import { packageFile } from "../package-files.ts";
import { networkOption } from "./options.ts";

/** Placeholders in the files for a site's own values. */
const CANISTER = "CANISTER";
const GATEWAY = "icp0.io";
const SITE = "192.168.7.1";
const RANGE = "192.168.7.50,192.168.7.150";
/** Stands for the placeholder while a URL is made of it, which would turn the placeholder to lower case. */
const STAND_IN = "aaaaa-aa";

interface ExampleOptions {
  readonly network: string;
  readonly origin?: URL;
  readonly listen: string;
  readonly store: string;
  readonly site: string;
  readonly interface: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly metrics: string;
  readonly alerts: string;
}

/** Placeholders and their replacements. Each placeholder occurs in the file. */
type Filling = readonly (readonly [string, string])[];

interface Example {
  readonly file: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** The values besides the canister's id, which every example has. */
  fill(options: ExampleOptions, canister: string): Filling;
}

const EXAMPLES: Readonly<Record<string, Example>> = {
  nginx: {
    file: "nginx.conf",
    description: "a site's cache in front of the canister's URL",
    options: cacheOptions("80", "/var/cache/nginx/icfs"),
    fill({ network, origin, listen, store }, canister) {
      const { url, server, port } = originOf(network, canister, origin);
      return [
        ["listen 80;", `listen ${listen};`],
        ["/var/cache/nginx/icfs", store],
        [`proxy_ssl_name ${CANISTER}.${GATEWAY};`, `proxy_ssl_name ${url.hostname};`],
        [`${CANISTER}.${GATEWAY}`, url.host],
        [`server ${GATEWAY}:443;`, `server ${server}:${port};`],
        ["proxy_pass https://icfs", `proxy_pass ${url.protocol}//icfs`],
        ["proxy_pass http://127.0.0.1/", `proxy_pass http://${ownAddress(listen)}/`],
      ];
    },
  },
  squid: {
    file: "squid.conf",
    description: "the same with Squid in place of nginx, for hosts with mounts only",
    options: cacheOptions("3128", "/var/spool/squid/icfs"),
    fill({ network, origin, listen, store }, canister) {
      const { url, server, port } = originOf(network, canister, origin);
      const isSecure = url.protocol === "https:";
      return [
        ["http_port 3128 ", `http_port ${listen} `],
        ["/var/spool/squid/icfs", store],
        [
          `cache_peer ${CANISTER}.${GATEWAY} parent 443 `,
          `cache_peer ${isSecure ? url.hostname : server} parent ${port} `,
        ],
        [" originserver tls", isSecure ? " originserver tls" : " originserver"],
        [`${CANISTER}.${GATEWAY}`, url.hostname],
      ];
    },
  },
  dnsmasq: {
    file: "dnsmasq.conf",
    description: "DHCP for machines that boot by HTTP from a site's cache",
    options: [siteOption("the cache's IPv4 address, as machines reach it"), interfaceOption()],
    fill: (options) => [...machinesNetwork(options), [SITE, options.site]],
  },
  channels: {
    file: "dnsmasq-channels.conf",
    description: "DHCP and TFTP for machines that boot the channel stable, or by their addresses canary",
    options: [siteOption("this host's IPv4 address on the machines' network"), interfaceOption()],
    fill: machinesNetwork,
  },
  ipxe: {
    file: "boot.ipxe",
    description: "a boot script, to be published at the top of a tree, for machines with iPXE",
    options: [
      networkOption(),
      new Option("--kernel <path>", "the kernel, from the top of the tree")
        .default("debian-installer/amd64/linux")
        .argParser(wordOf),
      new Option("--initrd <path>", "the initrd")
        .default("debian-installer/amd64/initrd.gz")
        .argParser(wordOf),
    ],
    fill: ({ network, kernel, initrd }, canister) => [
      [`https://${CANISTER}.${GATEWAY}/`, urlOf(network, canister)],
      ["kernel debian-installer/amd64/linux initrd=initrd.gz ", `kernel ${kernel} initrd=${baseOf(initrd)} `],
      ["initrd debian-installer/amd64/initrd.gz", `initrd ${initrd}`],
    ],
  },
  machines: {
    file: "machines.yaml",
    description: "machines for `icfs publish --machines`, each with files of its own to boot by",
    options: [],
    fill: () => [],
  },
  prometheus: {
    file: "prometheus.yml",
    description: "Prometheus' configuration for a mount's metrics",
    options: [
      new Option("--metrics <HOST:PORT>", "where the mount serves its metrics: the address of its --metrics")
        .default("127.0.0.1:9469")
        .argParser(hostAndPort),
      new Option("--alerts <file>", "the file with the rules that `icfs example alerts` prints")
        .default("/etc/prometheus/icfs-alerts.yml")
        .argParser(pathOf),
    ],
    fill: ({ metrics, alerts }) => [
      ["127.0.0.1:9469", metrics],
      ["/etc/prometheus/icfs-alerts.yml", alerts],
    ],
  },
  alerts: {
    file: "prometheus-alerts.yml",
    description: "Prometheus' rules for alerts",
    options: [],
    fill: () => [],
  },
  grafana: {
    file: "grafana-dashboard.json",
    description: "a dashboard for Grafana: which mounts have which release, and how they do",
    options: [],
    fill: () => [],
  },
};

export function exampleCommand(): Command {
  const command = new Command("example")
    .description(
      "print tested configurations for nginx, Squid, dnsmasq, iPXE, Prometheus and Grafana, and a list of machines, with your canister's id and your site's names in them",
    )
    .allowExcessArguments()
    .action((_, { args }: Command) => {
      if (args.length > 0)
        throw new UsageError(
          `there is no example "${args[0]}"; there are ${Object.keys(EXAMPLES).join(", ")}`,
        );
      for (const [name, { file, description }] of Object.entries(EXAMPLES))
        console.log(`${name.padEnd(11)} ${file.padEnd(22)} ${description}`);
    });
  for (const [name, example] of Object.entries(EXAMPLES)) {
    const one = new Command(name)
      .description(`print ${example.file}: ${example.description}`)
      .argument("[canister]", `canister id; default: ${CANISTER}, for you to replace`)
      .action((canister: string | undefined, options: ExampleOptions) => print(example, canister, options));
    for (const option of example.options) one.addOption(option);
    command.addCommand(one);
  }
  return command;
}

function print({ file, fill }: Example, given: string | undefined, options: ExampleOptions): void {
  const canister = given === undefined ? STAND_IN : parseCanisterId(given).toText();
  const text = readFileSync(packageFile(`examples/${file}`), "utf8");
  const filling = fill(options, canister);
  for (const [what] of filling)
    if (!text.includes(what)) throw new Error(`examples/${file} has no "${what}": install icfs again`);
  const printed = filled(text, [...filling, [CANISTER, canister]]);
  process.stdout.write(given === undefined ? printed.replaceAll(STAND_IN, CANISTER) : printed);
  if (given === undefined && text.includes(CANISTER))
    console.error(
      `icfs: put your canister's id in the place of ${CANISTER}, or name it: icfs example NAME ID`,
    );
}

/** Replaces all in one pass, so that no replacement is replaced again. If several match, the first one counts. */
function filled(text: string, filling: Filling): string {
  const quoted = filling.map(([what]) => what.replace(/[.?*+^$(){}|[\]\\]/g, "\\$&"));
  const by = new Map(filling);
  return text.replace(new RegExp(quoted.join("|"), "g"), (found) => by.get(found)!);
}

/** @throws UsageError when only a query parameter tells which canister is meant */
function urlOf(network: string, canister: string): string {
  const url = gatewayUrl(resolveNetwork(network), canister, "");
  if (!url.includes("?")) return url;
  throw new UsageError(
    `${url}: a cache needs a host name for the canister: give --network a gateway's name instead of its address, or give the URL with --origin`,
  );
}

interface Origin {
  readonly url: URL;
  /** The host and port to connect to. */
  readonly server: string;
  readonly port: string;
}

/** Where a cache fetches from. @throws UsageError */
function originOf(network: string, canister: string, given: URL | undefined): Origin {
  const url = given ?? new URL(urlOf(network, canister));
  // The names of all canisters lead to the same servers, and not every resolver knows names below localhost.
  const server = url.hostname.replace(/^.*\.(localhost|icp0\.io)$/, "$1");
  return { url, server, port: url.port || (url.protocol === "https:" ? "443" : "80") };
}

/** The options of a site's cache. */
function cacheOptions(listen: string, store: string): Option[] {
  return [
    networkOption(),
    new Option(
      "--origin <URL>",
      "the URL that the cache asks in place of the canister's own: a CDN, or another host's icfs",
    ).argParser(originUrl),
    new Option("--listen <[ADDRESS:]PORT>", "where the cache answers").default(listen).argParser(listenAt),
    new Option("--store <directory>", "where the cache keeps what it has fetched")
      .default(store)
      .argParser(pathOf),
  ];
}

function siteOption(meaning: string): Option {
  return new Option("--site <ADDRESS>", meaning).default(SITE).argParser((text) => {
    if (!isIPv4(text)) throw new InvalidArgumentError("Use an IPv4 address, such as 192.168.7.1.");
    return text;
  });
}

function interfaceOption(): Option {
  return new Option("--interface <name>", "this host's network device on the machines' network")
    .default("boot0")
    .argParser(wordOf);
}

function machinesNetwork({ site, interface: device }: ExampleOptions): Filling {
  return [
    ["interface=boot0", `interface=${device}`],
    [RANGE, RANGE.replaceAll(/[\d.]+\./g, prefixOf(site))],
  ];
}

/** 192.168.7. of 192.168.7.1. */
function prefixOf(address: string): string {
  return address.slice(0, address.lastIndexOf(".") + 1);
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function originUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // A URL with a login would differ from its origin.
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`)
    throw new InvalidArgumentError("Use a URL without a path, such as http://192.168.7.2:8080.");
  return url;
}

const PORT = /^([1-9]\d{0,4})$/;
const LISTEN = /^(?:([\w.-]+|\[[\da-fA-F:.]+\]):)?([1-9]\d{0,4})$/;

function isPlace(text: string): boolean {
  return Number(LISTEN.exec(text)?.[2]) <= 65535;
}

function listenAt(text: string): string {
  if (!isPlace(text))
    throw new InvalidArgumentError("Use a port, or an address with one: 80, 192.168.7.1:80.");
  return text;
}

/** The address at which a server reaches itself; the default port is left out. */
function ownAddress(listen: string): string {
  const at = PORT.test(listen) ? `127.0.0.1:${listen}` : listen;
  return at.replace(/:80$/, "");
}

function hostAndPort(text: string): string {
  if (!isPlace(text) || PORT.test(text))
    throw new InvalidArgumentError("Use an address and a port, such as 192.168.7.10:9469.");
  return text;
}

function pathOf(text: string): string {
  if (!/^\/[^\s;{}"'\\$]*$/.test(text))
    throw new InvalidArgumentError("Use an absolute path without blanks.");
  return text;
}

function wordOf(text: string): string {
  if (!/^[^\s$]+$/.test(text)) throw new InvalidArgumentError("Leave out blanks and $.");
  return text;
}
