/** Templates: what they make, and what they refuse. */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { BUILT_IN } from "../../lib/machines/built-in.ts";
import type { Machine } from "../../lib/machines/hosts.ts";
import { renderAll } from "../../lib/machines/render.ts";
import { readTemplates, type Template } from "../../lib/machines/templates.ts";
import type { Value } from "../../lib/machines/values.ts";
import { writeTree } from "../publish/trees.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const machine = (variables: Record<string, Value> = {}, name = "web-1"): Machine => ({
  mac: "52:54:00:69:63:66",
  name,
  group: undefined,
  line: 1,
  variables,
});

function made(
  templates: readonly Template[],
  machines: readonly Machine[],
  grubDirectories: readonly string[] = [],
  allowSecrets = false,
): Record<string, string> {
  const files = renderAll(machines, { templates, called: "T/", allowSecrets }, grubDirectories);
  return Object.fromEntries(files.map(({ path, bytes }) => [path, bytes.toString()]));
}

const one = (text: string, path = "file") => [{ name: path, path, text }];
const text = (template: string, variables?: Record<string, Value>) =>
  made(one(template), [machine(variables)]).file;

/** The error of a template, for a machine. */
function refusal(text: string, variables: Record<string, Value> = {}, path = "file"): string {
  try {
    made(one(text, path), [machine(variables)]);
  } catch (error) {
    return (error as Error).message.split("\n  ").slice(1).join("\n");
  }
  return "";
}

const KERNEL = { kernel: "d-i/linux", args: "console=ttyS0 --- url=http://x/$a;b" };

t.test("the built-in templates", async (t) => {
  t.same(made(BUILT_IN, [machine({ ...KERNEL, initrd: "d-i/initrd.gz" })], ["d-i/grub"]), {
    "pxelinux.cfg/01-52-54-00-69-63-66": `# web-1
DEFAULT boot
LABEL boot
  LINUX d-i/linux
  INITRD d-i/initrd.gz
  APPEND console=ttyS0 --- url=http://x/$a;b
`,
    "d-i/grub/grub.cfg-01-52-54-00-69-63-66": `# web-1
set timeout=0
menuentry "web-1" {
  linux /d-i/linux console=ttyS0 --- url=http://x/\\$a\\;b
  initrd /d-i/initrd.gz
}
`,
    "ipxe/52-54-00-69-63-66.ipxe": `#!ipxe
# web-1
kernel ../d-i/linux initrd=initrd.gz console=ttyS0 --- url=http://x/$a;b
initrd ../d-i/initrd.gz
boot
`,
  });
});

t.test("the built-in templates with several initrds, or with only a kernel", async (t) => {
  const several = made(BUILT_IN, [machine({ ...KERNEL, initrd: ["ucode", "d-i/initrd"] })], [""]);
  t.match(several["pxelinux.cfg/01-52-54-00-69-63-66"], "\n  INITRD ucode,d-i/initrd\n");
  t.match(several["grub.cfg-01-52-54-00-69-63-66"], "\n  initrd /ucode /d-i/initrd\n");
  t.match(
    several["ipxe/52-54-00-69-63-66.ipxe"],
    / initrd=ucode initrd=initrd console=.*\ninitrd \.\.\/ucode\ninitrd \.\.\/d-i\/initrd\nboot\n/,
  );
  const bare = made(BUILT_IN, [machine({ kernel: "memtest" })], []);
  t.same(bare, {
    "pxelinux.cfg/01-52-54-00-69-63-66": "# web-1\nDEFAULT boot\nLABEL boot\n  LINUX memtest\n",
    "grub/grub.cfg-01-52-54-00-69-63-66":
      '# web-1\nset timeout=0\nmenuentry "web-1" {\n  linux /memtest \n}\n',
    "ipxe/52-54-00-69-63-66.ipxe": "#!ipxe\n# web-1\nkernel ../memtest \nboot\n",
  });
  for (const nothing of ["", [], null])
    t.same(made(BUILT_IN, [machine({ kernel: "memtest", initrd: nothing, args: "" })], []), bare);
  t.throws(() => made(BUILT_IN, [machine()], []), {
    name: "UserError",
    message:
      /pxelinux:4: there is no variable kernel: give it to the machine, to its group or in defaults \(for web-1\)/,
  });
});

t.test("null removes a variable, as if it had never been set", async (t) => {
  const none = { kernel: null };
  t.throws(() => made(BUILT_IN, [machine(none)]), { message: /pxelinux:4: there is no variable kernel/ });
  t.match(refusal("{{ rack }}", { rack: null }), "there is no variable rack");
  t.equal(text("{% if rack %}x{% endif %}{{ rack | default: 'y' }}", { rack: null }), "y");
  const files = made(BUILT_IN, [machine({ kernel: "linux", grub_directory: null })], ["d-i/grub"]);
  t.ok(files["d-i/grub/grub.cfg-01-52-54-00-69-63-66"]);
});

t.test("the built-in templates write multi-line values on one line, as loaders need them", async (t) => {
  const args = "console=ttyS0\n  quiet\r\nro\n";
  const lines = made(BUILT_IN, [machine({ kernel: "linux\n", initrd: ["a\n", "b"], args })]);
  const line = made(BUILT_IN, [
    machine({ kernel: "linux", initrd: ["a", "b"], args: "console=ttyS0 quiet ro" }),
  ]);
  t.strictSame(lines, line);
  t.match(line["ipxe/52-54-00-69-63-66.ipxe"], " console=ttyS0 quiet ro\n");
});

t.test("every machine has some variables, and values are not escaped for HTML", async (t) => {
  t.equal(
    text(`{{ mac }} {{ mac_dashes }} {{ mac_bare }} {{ name }} [{{ group }}] {{ a }} \${net0/mac}`, {
      a: "<&\"'>",
    }),
    `52:54:00:69:63:66 52-54-00-69-63-66 525400696366 web-1 [] <&"'> \${net0/mac}`,
  );
  t.equal(text("{% if x %}y{% else %}n{% endif %}{{ x | default: 'd' }}"), "nd");
  t.equal(
    text("{% for d in disks %}{{ d.name }} {% endfor %}", { disks: [{ name: "a" }, { name: "b" }] }),
    "a b ",
  );
});

t.test("a variable that is missing or not text is reported with its line", async (t) => {
  t.equal(
    refusal("\n{{ kernal }}"),
    "T/file:2: there is no variable kernal: give it to the machine, to its group or in defaults (for web-1)",
  );
  t.match(refusal("{{ a.b }}", { a: { c: 1 } }), "T/file:1: there is no variable a.b");
  t.match(
    refusal("{{ a.constructor }}{{ a.__proto__ }}", { a: { c: 1 } }),
    "there is no variable a.constructor",
  );
  t.match(refusal("{{ a }}", { a: ["x"] }), /T\/file:1: this is a list or a map: use \| join/);
  t.match(refusal("{{ name | nofilter }}"), "T/file:1: undefined filter: nofilter");
  t.match(refusal("\n\n{% if name %}"), "T/file:3: ");
  t.match(refusal("x", {}, "{{ rack }}/x"), "T/{{ rack }}/x: its name: there is no variable rack");
});

t.test("templates cannot read files, and their output never varies", async (t) => {
  for (const tag of ["include 'x'", "render 'x'", "layout 'x'", "block x"])
    t.match(refusal(`{% ${tag} %}`), /T\/file:1: tag "\w+" not found/, tag);
  t.match(refusal('{{ "now" | date: "%s" }}'), "undefined filter: date");
  t.match(refusal("{{ a | sample }}", { a: [1, 2] }), "undefined filter: sample");
});

t.test("rendering stops at limits of memory and size", async (t) => {
  t.match(refusal("{% for i in (1..1000000000) %}x{% endfor %}"), "memory alloc limit exceeded");
  t.match(
    refusal(`{% for i in (1..90000) %}{{ a }}{% endfor %}`, { a: "x".repeat(100) }),
    /limit exceeded|more than 1 MiB/,
  );
  t.match(refusal(`{{ a }}`, { a: "x".repeat(1024 * 1024 + 1) }), "makes more than 1 MiB");
});

t.test("the name of a template gives the paths of its files", async (t) => {
  t.same(made(one("x", "{{ rack }}/{{ name }}.cfg"), [machine({ rack: 7 })]), { "7/web-1.cfg": "x" });
  t.same(made(one("x", "{% if efi %}{{ name }}{% endif %}"), [machine()]), {}, "an empty name makes no file");
  t.same(made(one("x", "d/{% if efi %}{{ name }}{% endif %}"), [machine()]), {});
  for (const [path, problem] of [
    ["../x", "the path has a component . or .."],
    ["/x", "the path is absolute"],
    ["a//x", "the path has an empty component"],
    ["a\nx", "the path has a control character"],
    ["a".repeat(256), "the path has a component longer than 255 bytes"],
  ] as const)
    t.match(refusal("x", { path }, "{{ path }}"), problem, path);
});

t.test("a secret in a template is found, and not shown", async (t) => {
  const secret = one("a\nd-i passwd/root-password password {{ a }}\n");
  t.throws(() => made(secret, [machine({ a: "hunter2" })]), {
    message:
      /T\/file: file:2 would have what looks like a preseeded password: .*--allow-secrets \(for web-1\)$/,
  });
  t.notMatch(refusal(secret[0]!.text, { a: "hunter2" }), "hunter2");
  t.match(made(secret, [machine({ a: "hunter2" })], [], true).file, "hunter2");
});

t.test("only some of very many problems are shown", async (t) => {
  const many = Array.from({ length: 1000 }, (_, i) => machine({}, `web-${i}`));
  t.throws(() => made(one("{{ x }}"), many), {
    message: /^machines' files cannot be made:(\n {2}T\/file:1.*){20}\n {2}and more$/,
  });
});

t.test("a directory of templates", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { "b/{{ name }}": "b", a: "a", ".git/config": "x", "a~": "x", ".a.swp": "x" });
  await symlink("a", join(directory, "link"));
  t.same(await readTemplates(directory), [
    { name: "a", path: "a", text: "a" },
    { name: "b/{{ name }}", path: "b/{{ name }}", text: "b" },
    { name: "link", path: "link", text: "a" },
  ]);
  await writeFile(join(directory, "binary"), Buffer.from([0xff, 0xfe]));
  await t.rejects(readTemplates(directory), {
    name: "UserError",
    message: /binary: it is not text in UTF-8/,
  });
  await t.rejects(readTemplates(join(directory, "a")), { name: "UserError", message: /ENOTDIR/ });
  await mkdir(join(directory, "empty"));
  await t.rejects(readTemplates(join(directory, "empty")), {
    name: "UserError",
    message: /has no templates/,
  });
});
