import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Command, CommanderError } from "commander";
import t from "tap";
import { icfsProgram, wholeProgram } from "../../lib/cli/program.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const HELPER = fileURLToPath(new URL("../../lib/cli/mount-helper-main.ts", import.meta.url));
const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

const home = await temporaryDirectory(t);
const env = cleanEnvironment(home);
const icfs = (args: readonly string[], more: NodeJS.ProcessEnv = {}) =>
  run(BIN, args, { env: { ...env, ...more } });

interface Said {
  /** commander's exit code: 0 for help, 1 for wrong usage. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the program prints about its usage. It runs in this process, because a start takes a second. @throws Error when the usage is right */
async function parsed(args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Said> {
  const before = process.env;
  process.env = { ...env, ...more };
  try {
    const program = await icfsProgram(args);
    let [stdout, stderr] = ["", ""];
    const capture = (command: Command): void => {
      command.exitOverride().configureOutput({
        writeOut: (text) => {
          stdout += text;
        },
        writeErr: (text) => {
          stderr += text;
        },
      });
      for (const child of command.commands) capture(child);
    };
    capture(program);
    const ended = await program.parseAsync(args, { from: "user" }).catch((error: unknown) => error);
    if (!(ended instanceof CommanderError)) throw new Error(`icfs ${args.join(" ")} is right`);
    return { code: ended.exitCode, stdout, stderr };
  } finally {
    process.env = before;
  }
}

t.test("--help of every command lists its options, with defaults and environment variables", async (t) => {
  const program = await icfs(["--help"]);
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
    const { code, stdout, stderr } = await parsed([command, "--help"]);
    t.match({ code, stderr }, { code: 0, stderr: "" }, command);
    const text = stdout.replace(/\s+/g, " ");
    for (const pattern of patterns) t.match(text, pattern, `${command}: ${pattern}`);
  }
  t.match(await parsed(["trust", "reset", "--help"]), { code: 0, stdout: /<?canister>?/ });
});

t.test("--version", async (t) => {
  t.same(await icfs(["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" });
});

t.test("wrong usage exits with code 2, prints the reason on stderr and nothing on stdout", async (t) => {
  const cases: [args: string[], reason: RegExp, env?: NodeJS.ProcessEnv][] = [
    [[], /Usage: icfs/],
    [["moutn"], /unknown command 'moutn'[\s\S]*mount/],
    [["help", "muont"], /^error: unknown command 'muont'\n\(Did you mean mount\?\)\n$/],
    [["muont", "--help"], /^error: unknown command 'muont'\n\(Did you mean mount\?\)\n$/],
    [["help", "frobnicate"], /^error: unknown command 'frobnicate'\n$/],
    [["help", "trust", "rest"], /^error: unknown command 'rest'\n\(Did you mean reset\?\)\n$/],
    [["trust", "help", "rest"], /^error: unknown command 'rest'\n\(Did you mean reset\?\)\n$/],
    [["trust", "shwo", "-h"], /^error: unknown command 'shwo'\n\(Did you mean show\?\)\n$/],
    [["ls", "--recusive", ID], /unknown option '--recusive'[\s\S]*--recursive/],
    [["publish", "dir"], /missing required argument 'canister'/],
    [["mount", ID], /missing required argument 'mountpoint'/],
    [["umount"], /missing required argument 'mountpoint'/],
    [["trust"], /Usage: icfs trust/],
    [["example", "nginx", ID, "--origin", "http://a/b"], /Use a URL without a path/],
    [["example", "nginx", ID, "--listen", "http"], /Use a port, or an address with one/],
    [["example", "dnsmasq", "--site", "cache.example"], /Use an IPv4 address/],
    [["boots", "--mac", "52:54"], /Use a MAC such as/],
    [["boots", "--since", "noon"], /Use a time such as/],
    [["boots", "--since", "2026"], /Use a time such as/],
    [["boots", "--check", "--stale"], /cannot be used with/],
    [["explain"], /missing required argument 'mac'/],
    [["trust", "reset"], /missing required argument 'canister'/],
    [["ls", ID, "path", "another"], /too many arguments/],
    [["cat", ID], /missing required argument 'path'/],
    [["verify"], /missing required argument 'canister\|mountpoint'/],
    [["ls", ID, "--network"], /argument missing/],
    [["rollback", ID, "first"], /'first' is invalid.*Use a release's number/],
    [["grant", ID, ID, "owner"], /'owner' is invalid.*Allowed choices are publisher, promoter, reader/],
    [["configure", ID, "--quota", "much"], /'much' is invalid.*Use bytes, or a size/],
    [["configure", ID, "--quota", "0"], /'0' is invalid.*use at least 1/],
    [["configure", ID, "--hold-newest", "100001"], /whole number from 1 to 100000/],
    [["configure", ID, "--private", "--public"], /option '--private' cannot be used with option '--public'/],
    [["configure", ID, "--public", "--private"], /cannot be used with/],
    [["localnet", "--port", "http"], /'http' is invalid.*Use a port, 0 to 65535/],
    [["localnet", "--port", "65536"], /Use a port, 0 to 65535/],
    [["localnet", "--latency", "-1"], /Use a number from 0/],
    [["localnet", "--api", "2"], /'2' is invalid.*Allowed choices are old, new, both/],
    [["localnet", "--bandwidth", ""], /Use a number from 0/],
    [["localnet"], /ICFS_LATENCY.*Use a number from 0/, { ICFS_LATENCY: "fast" }],
    [["mount", ID, "/mnt", "--memory", "0"], /Use a size from 1 MiB/],
    ...[
      ["mount", ID],
      ["umount"],
      ["doctor", ID],
      ["verify", ID],
      ["publish"],
      ["cache", "clear", "--cache-dir"],
    ].map((args): [string[], RegExp] => [
      [...args, "", ...(args[0] === "publish" ? [ID] : [])],
      /Name a directory/,
    ]),
    [["mount", ID, "/mnt", "--cache-dir", ""], /Name a directory/],
    [["mount", ID, "/mnt", "--log-file", ""], /Name a file/],
    [["mount", ID, "/mnt", "--stats-file", ""], /Name a file/],
    [["localnet", "--state", ""], /Name a directory/],
    [["ls", ID, "--root-key", ""], /Name a key or a file/],
    [["ls", ID, "--identity", ""], /Name a PEM file/],
    [["ls", ID, "--ca-bundle", ""], /Name a file of certificates/],
    [["ls", ID, "--noproxy", ""], /Name hosts/],
    [["ls", ID, "--identity-passphrase-file", ""], /Name a file or fd:N/],
    [["verify", ""], /Name a canister or a mountpoint/],
    [["status", ""], /Name a mountpoint or a canister/],
    [["mount", ID, "/mnt", "--max-cache-size", "much"], /Use a size from 0 MiB/],
    [["mount", ID, "/mnt", "--read-timeout", "0.5"], /Use a time from 1 s/],
    [["mount", ID, "/mnt", "--refresh", "often"], /Use a time from 0 s/],
    [["mount", ID, "/mnt", "--retry", "1.2.3"], /Use minutes, or a time/],
    [["mount", ID, "/mnt", "--context", 'a",rw'], /Use a label such as/],
    [["mount", ID, "/mnt", "--prefetch", "some"], /Allowed choices are all, boot, none/],
    [["mount", ID, "/mnt", "--file-mode", "0999"], /Use permissions in octal/],
    [["mount", ID, "/mnt", "--log-level", "loud"], /Use debug, info, warn or error/],
  ];
  for (const [args, reason, more] of cases) {
    const { code, stdout, stderr } = await parsed(args, more);
    t.match({ code, stdout }, { code: 1, stdout: "" }, `icfs ${args.join(" ")}`);
    t.match(stderr, reason);
  }
  for (const [args, reason] of cases.slice(0, 4)) {
    t.match(await icfs(args), { code: 2, stdout: "", stderr: reason }, `icfs ${args.join(" ")}, started`);
  }
});

t.test("swapped arguments are recognised, and shown in the right order", async (t) => {
  const person = "zw4cm-c6hta-6yyvr-ljnaf-i72q7-m3fax-wbvdz-e3gi3-5kw7d-4bgvm-uae";
  const cases: [args: string[], order: string][] = [
    [["mount", "/mnt", ID], `CANISTER DIR, so ${ID} /mnt`],
    [["mount", "mnt", `${ID}@3`], `CANISTER DIR, so ${ID}@3 mnt`],
    [["publish", ID, "netboot"], `icfs publish netboot ${ID}`],
    [["verify", "/srv/tftp", ID], `icfs verify ${ID} /srv/tftp`],
    [["ls", "pxelinux.cfg", ID], `icfs ls ${ID} pxelinux.cfg`],
    [["cat", "pxelinux.cfg/default", `${ID}@3`], `icfs cat ${ID}@3 pxelinux.cfg/default`],
    [["doctor", "/srv/tftp", ID], `icfs doctor ${ID} /srv/tftp`],
    [["grant", person, ID, "reader"], `icfs grant ${ID} ${person} reader`],
    [["revoke", person, ID], `icfs revoke ${ID} ${person}`],
  ];
  for (const [args, order] of cases) {
    const program = await icfsProgram(args);
    await t.rejects(
      program.parseAsync(args, { from: "user" }),
      {
        name: "UserError",
        message: new RegExp(`^the arguments are swapped: .* is a canister and .* is not; it is ${order}$`),
      },
      args.join(" "),
    );
  }
  t.match(await icfs(["mount", "/mnt", ID]), {
    code: 2,
    stdout: "",
    stderr: /^icfs: the arguments are swapped/,
  });
  t.match(await run(process.execPath, [HELPER, "/mnt", ID], { env }), {
    code: 1,
    stderr: /^mount.icfs: the arguments are swapped/,
  });
});

t.test("wrong usage that only icfs itself detects also exits with code 2", async (t) => {
  const person = "fea2x-yaaae-bagba-faydq-qcikb-mga2d-qpcai-reeyu-culbo-gazdi-nqe";
  const isNo = (what: string) =>
    `icfs: ${what}, which has no files: an icfs canister's id looks like ${ID}, and \`icfs deploy\` prints it\n`;
  const network = ": use ic, local, HOST:PORT, or a URL such as http://127.0.0.1:4943\n";
  const cases: [args: string[], reason: string, env?: NodeJS.ProcessEnv][] = [
    [
      ["ls", "not-an-id"],
      `icfs: "not-an-id" is not a canister id: it looks like ${ID}, and \`icfs deploy\` prints it\n`,
    ],
    [
      ["ls", ID.replace("cai", "ca1")],
      `icfs: "${ID.replace("cai", "ca1")}" is not a canister id: its checksum is wrong: a character is wrong or missing, so copy it again\n`,
    ],
    [
      ["ls", `${ID}@Zero`],
      `icfs: "Zero" is not a release: give a number from 1 after the @, such as ${ID}@3, or a channel's name, such as ${ID}@stable\n`,
    ],
    [
      ["cat", `${ID}@0`, "x"],
      `icfs: "0" is not a release: give a number from 1 after the @, such as ${ID}@3, or a channel's name, such as ${ID}@stable\n`,
    ],
    [["ls", "aaaaa-aa"], isNo('"aaaaa-aa" is the network\'s own management canister')],
    [["publish", "tree", person], isNo(`"${person}" is somebody's principal`)],
    [["releases", "2vxsx-fae"], isNo('"2vxsx-fae" is the principal of callers without a key')],
    [
      ["verify", "nowhere"],
      `icfs: "nowhere" is not a canister id: it looks like ${ID}, and \`icfs deploy\` prints it\n`,
    ],
    [
      ["trust", "reset", "x"],
      `icfs: "x" is not a canister id: it looks like ${ID}, and \`icfs deploy\` prints it\n`,
    ],
    [["status", "nowhere"], 'icfs: "nowhere" is neither a mountpoint nor a canister id\n'],
    [
      ["status", `${ID}@3`],
      `icfs: a canister has one status, and none for each release: \`icfs status ${ID}\`; \`icfs releases ${ID}\` lists those\n`,
    ],
    [["grant", ID, "me", "reader"], 'icfs: "me" is not a principal: `icfs identity` prints yours\n'],
    [["ls", ID, "--network", "ftp://127.0.0.1"], `icfs: unknown network "ftp://127.0.0.1"${network}`],
    [["doctor", "--network", "mainnet"], `icfs: unknown network "mainnet"${network}`],
    [
      ["mount", "x", ".", "--log-file", "log"],
      `icfs: "x" is not a canister id: it looks like ${ID}, and \`icfs deploy\` prints it\n`,
    ],
    [
      ["ls", ID, "--root-key", "00"],
      "icfs: --root-key: a key has 266 digits in hexadecimal, and this has 2: give all of it, or the file that holds it\n",
    ],
    [
      ["ls", ID, "--network", "https://gateway.example"],
      "icfs: the root key of https://gateway.example is not known: give it with --root-key HEX|FILE (it is fetched from loopback networks only)\n",
    ],
    [
      ["publish", "tree", ID],
      'icfs: ICFS_ALLOW_EMPTY is "maybe": set it to yes or no\n',
      { ICFS_ALLOW_EMPTY: "maybe" },
    ],
    ...["exec", "uid=5,exec"].map((list): [string[], string] => [
      ["mount", ID, ".", "-o", list],
      "icfs: a release cannot be mounted to run programs from: any publisher could then run code on this host; say noexec instead of exec. -o is of mount(8): mount -t icfs -o LIST CANISTER DIR. `icfs mount` has each by its name, such as --uid 65534 (icfs mount --help); ro, nosuid, nodev and noexec hold anyway\n",
    ]),
    [["deploy", ID, "--specified-id", ID], "icfs: give a canister or --specified-id, not both\n"],
    [
      ["mount", ID, ".", "--ready", "hydrated", "--prefetch", "none"],
      "icfs: --ready hydrated waits for what --prefetch all fetches: leave one of them out\n",
    ],
    [
      ["mount", `${ID}@stable`, ".", "--all-channels"],
      `icfs: --all-channels shows every channel, and ${ID}@stable is one: leave out @stable, or --all-channels\n`,
    ],
    [
      ["mount", ID, ".", "--all-channels", "--source", "assets"],
      "icfs: --all-channels is for icfs canisters, since no others have channels: leave out --source assets, or --all-channels\n",
    ],
    [
      ["mount", ID, ".", "--all-channels", "--serve", "8080"],
      `icfs: --serve gives others one release, and --all-channels shows several: run \`icfs serve ${ID}@CHANNEL\` beside the mount, with the same cache\n`,
    ],
    [
      ["mount", ID, ".", "--all-channels", "--mirror", "http://a.example", "--mirror-only"],
      `icfs: --all-channels asks the network which channels there are, and --mirror-only asks no network: mount ${ID}@CHANNEL for each\n`,
    ],
  ];
  await Promise.all(
    cases.map(async ([args, stderr, more = {}]) =>
      t.same(
        await run(BIN, args, { env: { ...env, ...more }, cwd: home }),
        { code: 2, stdout: "", stderr },
        args.join(" "),
      ),
    ),
  );
});

t.test("an option that does not apply is an error; its environment variable is ignored", async (t) => {
  const cases: [args: string[], option: string, value: string | undefined, wrong: RegExp, ignored: RegExp][] =
    [
      [
        ["mount", `${ID}@stable`, ".", "--all-channels"],
        "--access-log",
        "log",
        /^--access-log is for what --serve sends/,
        /^--all-channels shows every channel/,
      ],
      [
        ["lint", "/nowhere"],
        "--machines-template",
        "templates",
        /^--machines-template needs machines/,
        /\/nowhere/,
      ],
      [
        ["channel", ID, "--network", "ftp://x"],
        "--history",
        undefined,
        /^name the channel: .* --history$/,
        /^unknown network/,
      ],
      [
        ["channel", ID, "--network", "ftp://x"],
        "--delete",
        undefined,
        /^name the channel: .* --delete$/,
        /^unknown network/,
      ],
      [
        ["channel", ID, "--network", "ftp://x"],
        "--note",
        "why",
        /^--note is for --delete$/,
        /^unknown network/,
      ],
      [
        ["deploy", "x"],
        "--with-cycles",
        "2T",
        /^--with-cycles makes a new canister/,
        /^"x" is not a canister id/,
      ],
      [
        ["deploy", "--specified-id", "x"],
        "--with-cycles",
        "2T",
        /^--with-cycles makes a new canister/,
        /^"x" is not a canister id/,
      ],
      [
        ["boots", "--check", "--boot-log", "/nowhere"],
        "--mac",
        "52:54:00:69:63:66",
        /leave out --mac$/,
        /\/nowhere/,
      ],
      [["boots", "--check", "--boot-log", "/nowhere"], "--since", "12h", /leave out --since$/, /\/nowhere/],
    ];
  const failure = async (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<unknown> => {
    const before = process.env;
    process.env = { ...env, ...more };
    try {
      return await (await icfsProgram(args))
        .parseAsync(args, { from: "user" })
        .catch((error: unknown) => error);
    } finally {
      process.env = before;
    }
  };
  for (const [args, option, value, wrong, ignored] of cases) {
    const given = value === undefined ? [...args, option] : [...args, option, value];
    t.match(await failure(given), { message: wrong }, given.join(" "));
    const variable = `ICFS_${option.slice(2).toUpperCase().replaceAll("-", "_")}`;
    t.match(
      await failure(args, { [variable]: value ?? "yes" }),
      { message: ignored },
      `${variable}: ${args.join(" ")}`,
    );
  }
});

t.test("an empty environment variable counts as unset", async (t) => {
  const variables = new Set<string>();
  const collect = (command: Command): void => {
    for (const { envVar } of command.options) if (envVar !== undefined) variables.add(envVar);
    for (const child of command.commands) collect(child);
  };
  collect(await wholeProgram());
  t.ok(variables.size > 30);
  for (const name of ["ALLOW_EMPTY", "JSON", "OFFLINE"]) variables.add(`ICFS_${name}`);
  const empty = Object.fromEntries([...variables].map((name) => [name, ""]));
  for (const args of [["publish"], ["mount"], ["localnet"], ["doctor"]]) {
    const help = await parsed([...args, "--help"]);
    t.same(await parsed([...args, "--help"], empty), help, args.join(" "));
    const values = async (more: NodeJS.ProcessEnv) => {
      const before = process.env;
      const { ICFS_TRANSPORT: _, ...bare } = env;
      process.env = { ...bare, ...more };
      try {
        const [command] = (await icfsProgram(args)).commands;
        command!.action(() => {});
        await command!.parseAsync(["publish", "mount"].includes(args[0]!) ? [ID, "x"] : [], { from: "user" });
        return command!.opts();
      } finally {
        process.env = before;
      }
    };
    t.same(await values(empty), await values({}), args.join(" "));
  }
});

t.test("correct usage that cannot work exits with code 1", async (t) => {
  const cases: [args: string[], reason: string | RegExp][] = [
    [["verify", "/nowhere"], "icfs: /nowhere is neither a canister id nor an icfs mount\n"],
    [["trust", "reset", ID], `icfs: this host has not accepted anything from ${ID}\n`],
    [["ls", ID, "--root-key", "/nowhere"], /^icfs: --root-key: .* nor a file: ENOENT/],
    [["ls", ID, "--identity", "/nowhere"], /^icfs: /],
    [["umount", "/nowhere"], /^icfs: /],
  ];
  for (const [args, stderr] of cases)
    t.match(await icfs(args), { code: 1, stdout: "", stderr }, args.join(" "));
  t.same(await icfs(["trust", "show"]), { code: 0, stdout: "", stderr: "" });
  t.same(await icfs(["trust", "show", "--json"]), { code: 0, stdout: '{"accepted":[]}\n', stderr: "" });
});
