/** Which scripts GRUB's shell takes. What is said here about each was seen with grub-script-check (Debian's grub-common). */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: GRUB has such words
import t from "tap";
import { linted } from "../support/linted.ts";

/** The line and the problem that lint finds in a script. */
async function problemIn(script: string): Promise<string | undefined> {
  const [finding, ...others] = await linted({ "grub/grub.cfg": script });
  if (others.length > 0) throw new Error(`more findings: ${JSON.stringify(others)}`);
  if (finding === undefined) return undefined;
  if (finding.kind !== "syntax") throw new Error(`another finding: ${JSON.stringify(finding)}`);
  return `${finding.line}: ${finding.problem}`;
}

t.test("scripts that GRUB takes", async (t) => {
  for (const script of [
    "",
    "# if (",
    "  # it's a comment",
    "echo a#b # it's",
    "menuentry 'a' --class b {\n\n echo\n}",
    "menuentry a { echo }",
    'submenu "a;b" {\n menuentry c {\n  echo\n }\n}',
    "if [ a = b ]; then\n echo\nelif c; d\nthen e; else f; fi",
    "if a; b; then if c; then d; fi; fi",
    "for i in 1 2; do echo $i; done",
    "for i in; do echo; done",
    "while a\ndo\n b\ndone\nuntil c; do d; done",
    "function f {\n a\n}\nfunction g\n{ a; }",
    "echo if fi done then { a; }",
    "echo a \\\n  b",
    "echo 'a\nb' \"c\nd\"",
    "echo 'a&b' \"c|d\" e\\&f \\; \\$ '$(a)' \"\\$\"",
    'echo ${a}$b$1$?${?}$@$# $"100 $"',
    "echo [ ] ! a[[ b]",
    "set a = b",
    "echo a={b}",
    "linux (tftp)/$x\nlinux ($root)$y a=b,c:d@e%f^g~h`i*j?",
  ]) {
    t.equal(await problemIn(script), undefined, JSON.stringify(script));
  }
});

t.test("scripts that GRUB refuses, with the line of the first problem", async (t) => {
  const wrong = (text: string) => `has "${text}" where GRUB expects something else`;
  const unknown = (text: string) => `has ${text} outside quotes, which means nothing to GRUB`;
  const cases: readonly (readonly [string, number, string])[] = [
    ["menuentry a {\n echo x=1&y=2\n}", 2, unknown("&")],
    ["[ -e /x ] && echo", 1, unknown("&&")],
    ["a || b", 1, unknown("||")],
    ["a | b", 1, unknown("|")],
    ["echo <a>", 1, unknown("<")],
    ["echo a=>b", 1, unknown(">")],
    ["echo\nmenuentry a {\n echo\n\necho", 2, 'has "{" without its "}"'],
    ["if a; then\n b\n", 1, 'has "if" without its "fi"'],
    ["for a in b; do\n c", 1, 'has "for" without its "done"'],
    ["while a; do\n if b; then c; fi", 1, 'has "while" without its "done"'],
    ["function a", 1, "ends too early"],
    ["menuentry a {\n b\n}\n}", 4, wrong("}")],
    ["menuentry a {\n}", 2, wrong("}")],
    ["menuentry a {\n # nothing\n}", 3, wrong("}")],
    ["menuentry a\n{\n b\n}", 2, wrong("{")],
    ["if a; then\nfi", 2, wrong("fi")],
    ["if a; then; b; fi", 1, wrong(";")],
    ["if a; then b; else; c; fi", 1, wrong(";")],
    ["if a\n b\nfi", 3, wrong("fi")],
    ["if a then b; fi", 1, wrong("fi")],
    ["fi", 1, wrong("fi")],
    ["if [[ a ]]; then b; fi", 1, wrong("[[")],
    ["for 1 in 2; do a; done", 1, wrong("1")],
    ["for if in 2; do a; done", 1, wrong("if")],
    ["for a; do b; done", 1, wrong(";")],
    ["for a", 1, "ends too early"],
    ["case a in\n b\nesac", 1, wrong("case")],
    ["function if { a; }", 1, wrong("if")],
    ["function a { b }", 1, wrong("}")],
    ["if a; then function b { c; }; fi", 1, wrong("function")],
    ["a;; b", 1, wrong(";;")],
    ["a; ; b", 1, wrong(";")],
    [";", 1, wrong(";")],
    ["menuentry a { b; } c", 1, wrong("c")],
    ['menuentry "a {\n b\n}', 1, "has a quote that is never closed"],
    ["a\nb it's", 2, "has a quote that is never closed"],
    ["a\nb $(c)", 2, 'has a "$" without a variable'],
    ["a 100$", 1, 'has a "$" without a variable'],
    ['a "100$"', 1, 'has a "$" without a variable'],
    ["a ${b-c}", 1, 'has a "$" without a variable'],
  ];
  for (const [script, line, problem] of cases) {
    t.equal(await problemIn(script), `${line}: ${problem}`, JSON.stringify(script));
  }
});

t.test("lines with # at their beginning are no part of a quote that goes over several lines", async (t) => {
  t.equal(await problemIn("echo 'a\n# it's a comment\nb'"), undefined);
  t.match(await problemIn("echo 'a\n # it's a comment\nb'"), /^3: .* quote/);
});

t.test("a semicolon that cuts off a part of the kernel's command line", async (t) => {
  const finding = async (args: string) => {
    const findings = await linted({
      k: "kernel",
      "grub/grub.cfg": `menuentry a {\n linux (http)/k ${args}\n}`,
    });
    return findings.map(({ kind, line, problem }) => `${kind} ${line} ${problem}`);
  };
  t.same(await finding("ds=nocloud;s=http://192.0.2.1/"), [
    "syntax 2 has a semicolon before s=http://192.0.2.1/, outside quotes",
  ]);
  for (const args of [
    "'ds=nocloud;s=x'",
    '"ds=nocloud;s=x"',
    "ds=nocloud\\;s=x",
    "quiet; s=x",
    "quiet;initrd (http)/i",
  ]) {
    t.same(await finding(args), [], args);
  }
});

t.test(
  "hostile scripts: nested too deeply, with a long unclosed quote, with the same mistake in every line",
  async (t) => {
    const deep = "a {\n".repeat(200_000);
    t.equal(
      await problemIn(deep),
      undefined,
      "whether blocks that are nested too deeply are closed is unknown",
    );
    t.match(await problemIn(`echo "${"\\a\n".repeat(200_000)}`), /^1: has a quote/);
    const findings = await linted({ "grub/grub.cfg": "linux (http)/a;b=c\n".repeat(50_000) });
    t.equal(findings.length, 1);
  },
);
