/** Environment variables of options, beside the command line. */
import type { Command } from "commander";
import t from "tap";
import { icfsProgram, wholeProgram } from "../../lib/cli/program.ts";
import { cleanEnvironment, temporaryDirectory } from "../support/icfs.ts";
import { usageOf, withEnvironment } from "./in-process.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";
const env = cleanEnvironment(await temporaryDirectory(t));

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
  const failure = (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<unknown> =>
    withEnvironment({ ...env, ...more }, async () => {
      const program = await icfsProgram(args);
      return program.parseAsync(args, { from: "user" }).catch((error: unknown) => error);
    });
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
    const help = await usageOf([...args, "--help"], env);
    t.same(await usageOf([...args, "--help"], { ...env, ...empty }), help, args.join(" "));
    const { ICFS_TRANSPORT: _, ...bare } = env;
    const values = (more: NodeJS.ProcessEnv) =>
      withEnvironment({ ...bare, ...more }, async () => {
        const [command] = (await icfsProgram(args)).commands;
        command!.action(() => {});
        await command!.parseAsync(["publish", "mount"].includes(args[0]!) ? [ID, "x"] : [], { from: "user" });
        return command!.opts();
      });
    t.same(await values(empty), await values({}), args.join(" "));
  }
});
