/** `--help` and `--version`. */
import { readFileSync } from "node:fs";
import t from "tap";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";
import { usageOf } from "./in-process.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const env = cleanEnvironment(await temporaryDirectory(t));

t.test("--help of every command lists its options, with defaults and environment variables", async (t) => {
  const program = await run(BIN, ["--help"], { env });
  t.match(program, { code: 0, stderr: "", stdout: /Usage: icfs/ });
  const listed = program.stdout.split("Commands:")[1]!.split("\n\n")[0]!;
  const commands = [...listed.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!);
  t.same(commands.filter((name) => name !== "help").sort(), [
    "boots",
    "cache",
    "cat",
    "channel",
    "configure",
    "deploy",
    "doctor",
    "example",
    "explain",
    "grant",
    "identity",
    "keep",
    "lint",
    "localnet",
    "ls",
    "mirror",
    "mount",
    "promote",
    "publish",
    "releases",
    "revoke",
    "roles",
    "rollback",
    "serve",
    "status",
    "trust",
    "umount",
    "url",
    "verify",
  ]);
  const expected: Record<string, RegExp[]> = {
    mount: [
      /--network <ic\|local\|URL>.*default:\s+"ic",\s+env:\s+ICFS_NETWORK/,
      /--root-key <HEX\|FILE>.*env:\s+ICFS_ROOT_KEY/,
      /--file-mode <octal>.*default:\s+0444/,
      /--memory <size>.*default:\s+256 MiB/,
      /--read-timeout <time>.*default:\s+10 s,\s+env:\s+ICFS_READ_TIMEOUT/,
      /--cache-dir <dir>.*default:\s+"\S+\/icfs",\s+env:\s+ICFS_CACHE_DIR/,
      /--max-cache-size <size>.*default:\s+4 GiB/,
      /--prefetch <what>.*choices:\s+"all",\s+"boot",\s+"none",\s+default:\s+"all"/,
      /--open <when>.*choices:\s+"now",\s+"whole",\s+default:\s+"now"/,
      /--refresh <time>.*default:\s+60 s/,
      /--quiet <time>.*default:\s+30 s/,
      /--switch-within <time>.*default:\s+600 s/,
      /--max-stale <time>.*default:\s+no\s+limit/,
      /--retry <time>.*plain number is minutes.*default:\s+0,\s+or\s+2\s+minutes\s+for\s+mount\(8\).*ICFS_RETRY/,
      /--context <label>.*env:\s+ICFS_CONTEXT/,
      /--transport <name>.*default:\s+kernel\s+for\s+root/,
      /--metrics <addr>.*PORT, which listens on 127\.0\.0\.1 only.*default:\s+none\s+\(env:\s+ICFS_METRICS/,
      /--foreground/,
    ],
    publish: [
      /--identity <PEM>.*made on first use.*env:\s+ICFS_IDENTITY/,
      /--note <text>/,
      /--json/,
      /--dry-run/,
      /--copy-links/,
      /--copy-unsafe-links/,
      /--exclude <pattern>.*default:\s+none,\s+env:\s+ICFS_EXCLUDE/,
      /--allow-empty.*ICFS_ALLOW_EMPTY=yes\|no/,
      /--private-files <what>.*choices:\s+"publish",\s+"error",\s+default:\s+"publish"/,
    ],
    cat: [/<canister> <path>/, /--identity <PEM>.*default:\s+none/],
    verify: [/<canister\|mountpoint> \[directory\]/, /--json/, /--copy-unsafe-links/, /--exclude <pattern>/],
    deploy: [/--specified-id <id>/, /--wasm <file>.*default:\s+the one that comes with\s+icfs/],
    ls: [/-l, --long/, /-R, --recursive/, /--identity <PEM>.*default:\s+none/],
    releases: [/held, kept or dropped is the canister's own word/, /--json/],
    rollback: [/<canister> <release>/, /--note <text>.*env:\s+ICFS_NOTE/, /--json/],
    keep: [/<canister> <release>/, /--no\b/],
    channel: [/<canister> \[name\]/, /--history/, /--delete/, /--note <text>/, /--json/],
    promote: [/<canister> <from> <to>/, /--note <text>/, /--json/, /--identity <PEM>.*made on first use/],
    grant: [
      /<role>.*choices:\s+"publisher",\s+"promoter",\s+"reader"/,
      /--identity <PEM>.*made on first use/,
    ],
    revoke: [/<canister> <principal>/],
    roles: [/--json/, /--identity <PEM>.*default:\s+none/],
    configure: [/--private/, /--public/, /--quota <size>/, /--hold-newest <n>/, /--hold-days <n>/],
    localnet: [
      /--port <port>.*default:\s+4943/,
      /--bandwidth.*limit that all replies share.*default: none/,
      /--update-latency.*default:\s+0/,
      /--api <version>.*choices:\s+"old", "new", "both",\s+default:\s+"both"/,
    ],
    identity: [/--identity <PEM>/],
    doctor: [
      /\[canister\] \[mountpoint\]/,
      /--root-key <HEX\|FILE>/,
      /--cache-dir <dir>.*env:\s+ICFS_CACHE_DIR/,
      /--json/,
    ],
    umount: [/-l, --lazy/],
    boots: [
      /--boot-log <file>.*default:\s+"\/var\/log\/icfs-boots.log",\s+env:\s+ICFS_BOOT_LOG/,
      /--mac <MAC>/,
      /--since <time>/,
      /--check/,
      /--stale/,
      /--json/,
    ],
    explain: [/<mac> \[time\]/, /--boot-log <file>.*env:\s+ICFS_BOOT_LOG/, /--json/],
    example: [/nginx/, /squid/, /dnsmasq/, /channels/, /ipxe/, /prometheus/, /alerts/, /grafana/],
    trust: [/show/, /reset/],
  };
  for (const [command, patterns] of Object.entries(expected)) {
    const { code, stdout, stderr } = await usageOf([command, "--help"], env);
    t.match({ code, stderr }, { code: 0, stderr: "" }, command);
    const text = stdout.replace(/\s+/g, " ");
    for (const pattern of patterns) t.match(text, pattern, `${command}: ${pattern}`);
  }
  t.match(await usageOf(["trust", "reset", "--help"], env), { code: 0, stdout: /<?canister>?/ });
});

t.test("--version", async (t) => {
  t.same(await run(BIN, ["--version"], { env }), { code: 0, stdout: `${version}\n`, stderr: "" });
});
