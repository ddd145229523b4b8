/** Files of machines: what is read from YAML, JSON and CSV, and what is refused, with its line. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { csvHosts } from "../../lib/machines/csv-hosts.ts";
import { FileProblems } from "../../lib/machines/file-problems.ts";
import { type Machine, machinesIn } from "../../lib/machines/hosts.ts";
import { readMachines } from "../../lib/machines/machines.ts";
import { yamlHosts } from "../../lib/machines/yaml-hosts.ts";
import { exactly } from "../support/exactly.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const READERS = { yaml: yamlHosts, csv: csvHosts };

function read(kind: keyof typeof READERS, text: string): Machine[] {
  const problems = new FileProblems("hosts");
  const machines = machinesIn(READERS[kind](text, problems), problems);
  problems.throwIfAny();
  return machines;
}

function refusal(kind: keyof typeof READERS, text: string): string {
  try {
    read(kind, text);
  } catch (error) {
    return (error as Error).message.replaceAll(/\s*hosts/g, "\nhosts").trim();
  }
  return "";
}

/** One machine, with the given lines added. */
const machine = (...lines: string[]) =>
  ["machines:", "- mac: 52:54:00:69:63:66", "  name: web-1", ...lines.map((line) => `  ${line}`)].join("\n");

t.test("YAML: a machine's own variables, its group's and the defaults", async (t) => {
  const [db, web] = read(
    "yaml",
    `# A comment.
defaults: {kernel: linux, args: quiet, rack: ~}
groups:
  web:
    args: "console=ttyS0"
    rack: 7
  empty:
machines:
  - mac: 52-54-00-69-63-67
    name: web-1.example.net
    group: web
    rack: 8
    disks: [sda, sdb]
    net: {vlan: 5, tagged: true}
  - mac: 525400696366
    name: db-1
`,
  );
  t.strictSame(db, {
    mac: "52:54:00:69:63:66",
    name: "db-1",
    group: undefined,
    line: 15,
    variables: { kernel: "linux", args: "quiet", rack: null },
  });
  t.match(web, { mac: "52:54:00:69:63:67", group: "web", line: 9 });
  t.strictSame(web?.variables, {
    kernel: "linux",
    args: "console=ttyS0",
    rack: 8,
    disks: ["sda", "sdb"],
    net: { vlan: 5, tagged: true },
  });
});

t.test("values reach templates as they are written", async (t) => {
  const [one] = read(
    "yaml",
    machine("a: 1.10", "b: 010", "c: 0x10", "d: 1e3", "e: 4", "f: yes", "g: 'true'", "h: true"),
  );
  t.strictSame(one?.variables, {
    a: "1.10",
    b: "010",
    c: "0x10",
    d: "1e3",
    e: 4,
    f: "yes",
    g: "true",
    h: true,
  });
  const [other] = read("csv", "mac,name,a,b,c\n525400696366,x,1.10,4,true\n");
  t.strictSame(other?.variables, { a: "1.10", b: 4, c: true });
});

t.test("JSON is read as YAML", async (t) => {
  const text = JSON.stringify({ machines: [{ mac: "52:54:00:69:63:66", name: "x", n: 1 }] });
  t.match(read("yaml", text), exactly({ name: "x", variables: { n: 1 } }));
});

t.test("CSV: columns are variables, and an empty field sets none", async (t) => {
  const text =
    '\ufeff# Rack 7.\nmac,name,group,args\n52:54:00:69:63:67,b,web,"a ""b"", c"\n\n5254.0069.6366, a ,,\n';
  t.strictSame(
    read("csv", text).map(({ name, group, line, variables }) => ({ name, group, line, variables })),
    [
      { name: "a", group: undefined, line: 5, variables: {} },
      { name: "b", group: "web", line: 3, variables: { args: 'a "b", c' } },
    ],
  );
});

t.test("CSV files with mixed line ends, blank rows and quoted line breaks", async (t) => {
  const lines = ["mac,name,args", "52:54:00:69:63:66,a,x", '52:54:00:69:63:67,b,"x\ny"', ",,", " , ,", "z"];
  const ends = ["\r\n", "\n", "\r\n", "\r\n", "\n", ""];
  const text = lines.map((line, i) => line + ends[i]).join("");
  t.match(
    read("csv", text.slice(0, -1)),
    exactly(
      { name: "a", line: 2, variables: { args: "x" } },
      { name: "b", line: 4, variables: { args: "x\ny" } },
    ),
  );
  t.match(refusal("csv", text), /^hosts:7: the line has more or fewer values/);
  t.match(read("csv", "mac,name\r52:54:00:69:63:66,a\r"), exactly({ name: "a", line: 2 }));
});

t.test("a MAC address in any common notation", async (t) => {
  for (const mac of [
    "52:54:00:69:63:aB",
    "52-54-00-69-63-ab",
    "52.54.00.69.63.ab",
    "5254.0069.63ab",
    "5254-0069-63AB",
    "525400-6963ab",
    "5254006963ab",
  ])
    t.match(read("csv", `mac,name\n${mac},x\n`), exactly({ mac: "52:54:00:69:63:ab" }), mac);
  for (const mac of [
    "52:54:00:69:63",
    "52:54-00:69:63:ab",
    "5254006963abcd",
    "52:54:00:69:63:ag",
    "52540:06963ab",
    "1",
  ])
    t.equal(
      refusal("csv", `mac,name\n${mac},x\n`),
      `hosts:2: "${mac}" is not a MAC address: write it as 52:54:00:69:63:66`,
    );
  for (const mac of ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "000000000000"])
    t.match(refusal("csv", `mac,name\n${mac},x\n`), /^hosts:2: no network card has the MAC/, mac);
  // A MAC of digits only, which YAML takes for a number.
  t.match(read("yaml", "machines: [{mac: 001122334455, name: x}]"), exactly({ mac: "00:11:22:33:44:55" }));
});

t.test("a MAC address that occurs twice, in different notations", async (t) => {
  t.equal(
    refusal("csv", "mac,name\n52:54:00:69:63:66,a\n525400696367,b\n5254.0069.6366,c\n"),
    "hosts:4: the MAC 52:54:00:69:63:66 is in line 2 already: leave out one",
  );
});

t.test("every problem is reported, with its line", async (t) => {
  t.equal(
    refusal(
      "yaml",
      `machine: []
defaults:
  name: x
  1st: y
groups: {web: {}, db: {}}
machines:
  - mac: 52:54:00:69:63:66
    name: web_1
    group: wep
  - name: -x
    name: y
`,
    ),
    [
      "hosts:1: there is nothing called machine: there are defaults, groups and machines",
      "hosts:3: every machine has a name of its own, so no variable can be called that: choose another name",
      'hosts:4: "1st" is not a name for a variable: use letters, digits, _ and -, with no digit or - first',
      "hosts:11: name is in line 10 already: leave out one",
      'hosts:7: "web_1" is not a host name: use letters, digits, - and dots, as in web-1.example.net',
      'hosts:7: there is no group "wep": list it under groups:, or use one of web, db',
      "hosts:10: the machine has no mac: give the address of the network card that it boots from",
    ].join("\n"),
  );
});

const REFUSED: Readonly<Record<string, readonly [keyof typeof READERS, string, RegExp]>> = {
  "a group where there are none": [
    "yaml",
    machine("group: x"),
    /^hosts:2: there is no group "x": list it under groups:$/,
  ],
  "no machines": ["yaml", "defaults: {}", /there is no "machines"/],
  "nothing at all": ["yaml", "", /there is no "machines"/],
  "machines by name": ["yaml", "machines: {web-1: {}}", /^hosts:1: machines is not a list/],
  "a machine that is a text": ["yaml", "machines: [web-1]", /^hosts:1: a machine has no names with values/],
  "a name that is a list": ["yaml", machine("group: [a]"), /^hosts:4: group is a list or a map/],
  "two documents": ["yaml", `${machine()}\n---\na: 1`, /^hosts:4: there is a second document/],
  "bad indentation": ["yaml", "machines:\n- mac: 1\n   name: x", /^hosts:2: Nested mappings/],
  "an unknown tag": ["yaml", machine("a: !!python/object x"), /^hosts:4: Unresolved tag/],
  "an alias of nothing": ["yaml", machine("a: *nothing"), /^hosts:4: \*nothing stands for nothing/],
  "a merge, which YAML 1.2 has not": [
    "yaml",
    machine("<<: {a: 1}"),
    /^hosts:4: "<<" is not a name.*into a group$/,
  ],
  "nesting without an end": ["yaml", machine(`a: ${"[".repeat(100_000)}`), /^hosts:4: Maximum call stack/],
  "deep nesting": [
    "yaml",
    machine(`a: ${"[".repeat(20)}${"]".repeat(20)}`),
    /a value is in more than 16 others/,
  ],
  "a quote without an end, and nothing else": [
    "csv",
    'mac,name\n52:54:00:69:63:66,"x\n',
    /^hosts:2: Quote Not Closed[^\n]*$/,
  ],
  "no columns": ["csv", "52:54:00:69:63:66,x\n", /^hosts:1: the first line names no columns mac and name/],
  "an empty table": ["csv", "", /the first line names no columns/],
  semicolons: ["csv", "mac;name\n", /^hosts:1: .*mac,name,group/],
  "a column twice": ["csv", "mac,name,a,a\n", /^hosts:1: the column a is there twice/],
  "a column without a name": ["csv", "mac,name,\n", /^hosts:1: "" is not a name for a variable/],
  "a value too many": [
    "csv",
    "mac,name\n52:54:00:69:63:66,x,y\n",
    /^hosts:2: the line has more or fewer values/,
  ],
  "quotes in a value": [
    "csv",
    'mac,name,a\n52:54:00:69:63:66,x,secret="y"\n',
    /^hosts:2: a quote is in the middle/,
  ],
  "quotes before the end": [
    "csv",
    'mac,name,a\n52:54:00:69:63:66,x,"secret"y\n',
    /^hosts:2: a quote is in the middle/,
  ],
  "a quote without an end": ["csv", 'mac,name\n52:54:00:69:63:66,"x\n', /^hosts:\d: Quote Not Closed/],
  "a name that is too long": ["csv", `mac,name\n52:54:00:69:63:66,${"a".repeat(64)}\n`, /is not a host name/],
};
for (const [what, [kind, text, message]] of Object.entries(REFUSED))
  t.test(`refused: ${what}`, async (t) => t.match(refusal(kind, text), message));

t.test("aliases are followed, and counted", async (t) => {
  const [one] = read("yaml", `defaults: {disks: &d [a, b]}\n${machine("more: [*d, *d]")}`);
  t.strictSame(one?.variables.more, [
    ["a", "b"],
    ["a", "b"],
  ]);
  // The "billion laughs": ten times ten times ten, and so on.
  const laughs = ["a: &a0 [x]"];
  for (let i = 1; i < 12; i++)
    laughs.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(", ")}]`,
    );
  t.match(refusal("yaml", machine(...laughs)), /more than 3000000 values, aliases followed/);
  t.match(refusal("yaml", machine("a: &a [*a]")), /a value is in more than 16 others/);
});

t.test("YAML errors do not reveal the contents of a line", async (t) => {
  t.notMatch(refusal("yaml", machine('password: "hunter2')), "hunter2");
  t.notMatch(refusal("yaml", machine("password: hunter2: x")), "hunter2");
  for (const value of ['hunter2"x"', '"hunter2"x', '"hunter2'])
    t.notMatch(refusal("csv", `mac,name,password\n52:54:00:69:63:66,x,${value}\n`), "hunter2");
});

t.test("unusable files", async (t) => {
  const directory = await temporaryDirectory(t);
  const readFile = (name: string) =>
    readMachines({ file: join(directory, name), templates: undefined, allowSecrets: false });
  await writeFile(join(directory, "hosts.txt"), machine());
  await writeFile(join(directory, "latin1.yaml"), Buffer.from("a: \xe4", "latin1"));
  await t.rejects(readFile("hosts.txt"), {
    name: "UserError",
    message: /must end in \.yaml, \.yml, \.json or \.csv/,
  });
  await t.rejects(readFile("latin1.yaml"), { name: "UserError", message: /not text in UTF-8/ });
  await t.rejects(readFile("absent.yaml"), { name: "UserError", message: /ENOENT/ });
  await t.rejects(readFile("."), { name: "UserError", message: /it is not a file/ });
});
