/** Wrong usage: what it says, and the exit code. */
import { fileURLToPath } from "node:url";
import t from "tap";
import { icfsProgram } from "../../lib/cli/program.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";
import { usageOf } from "./in-process.ts";

const HELPER = fileURLToPath(new URL("../../lib/cli/mount-helper-main.ts", import.meta.url));
const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

const home = await temporaryDirectory(t);
const env = cleanEnvironment(home);
const icfs = (args: readonly string[]) => run(BIN, args, { env });

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
    const { code, stdout, stderr } = await usageOf(args, { ...env, ...more });
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
