/**
 * Detects text that looks like a secret. Secrets do not belong in a release: everyone who can read the canister can read it, and
 * machines fetch their files without a password. Tables of forms and names find secrets put there by mistake, not those hidden on
 * purpose.
 */
import type { Value } from "./values.ts";

/** Unmistakable forms, each from the software that makes such secrets. */
const FORMS: readonly (readonly [string, RegExp])[] = [
  ["a private key", /-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File|AGE-SECRET-KEY-1/],
  // crypt(5), and the similar hashes of Grafana, LDAP, Django and GRUB.
  [
    "a password's hash",
    /(?<![\w$])\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|md5|sha1|scrypt|argon2(?:id?|d)|pbkdf2[\w-]*)\$[\w./$,=+-]{8,}/,
  ],
  [
    "a password's hash",
    /\bgrub\.pbkdf2\.sha\d+\.|\{(?:S?SHA\d*|S?MD5|CRYPT)\}[\w+/=$.]{8,}|\bpbkdf2_sha\d+\$\d+\$/,
  ],
  ["a key of AWS", /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/],
  ["a token of GitHub", /\bgh[pousr]_\w{36,}|\bgithub_pat_\w{22,}/],
  ["a token of GitLab", /\bgl(?:pat|dt|rt|ptt|soat)-[\w-]{20,}/],
  ["a token of Slack", /\bxox[abeoprs]-[\w-]{10,}/],
  ["a key of Google", /\bAIza[\w-]{35}\b/],
  ["a key of Stripe", /\b[rs]k_live_\w{16,}/],
  ["a token of npm", /\bnpm_\w{36}\b/],
  ["a token of Vault", /\bhvs\.[\w-]{24,}/],
  ["a key of Tailscale", /\btskey-(?:auth|api|client)-[\w-]{10,}/],
  ["a token of k3s", /\bK10[0-9a-f]{48,}::\w+:\w+/],
  ["a JSON web token", /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}/],
  [
    "a login in a URL",
    /(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}:\/\/[^\s/:@'"<>${}]{0,200}:[^\s/@'"<>${}]{1,200}@/i,
  ],
  // dracut.cmdline(7), "iSCSI".
  ["a login in netroot", /\biscsi:[^\s:@/]{1,200}:[^\s:@/]{1,200}(?::[^\s:@/]{1,200}){0,2}@/],
];

/** Lines of installers and boot loaders that set a password or its hash. */
const LINES: readonly (readonly [string, RegExp])[] = [
  [
    "a preseeded password",
    /^[ \t]*\S{1,100}[ \t]+\S{0,200}pass(?:word|phrase|wd)\S{0,200}[ \t]+password[ \t]+\S/im,
  ],
  ["a password of Kickstart", /^[ \t]*rootpw[ \t]+(?!.*--lock[ \t]*$)\S/m],
  ["a password of GRUB", /^[ \t]*password(?:_pbkdf2)?[ \t]+\S+[ \t]+[^\s$]/m],
  ["a password of SYSLINUX", /^[ \t]*menu[ \t]+(?:master[ \t]+)?passwd[ \t]+\S/im],
  ["a password of iPXE", /^[ \t]*set[ \t]+\S{0,200}(?:password|secret|token)(?::\S{0,20})?[ \t]+[^\s$]/m],
];

/** Of those that are long enough, the end of a word will do: inst.vncpassword is Anaconda's. */
const WORDS =
  /^(?:pass|pwd?|psk|secret|secrets|token|tokens|key|keys|apikey|rootpw|credential|credentials|[a-z]{0,40}(?:password|passwd|passphrase|passcode))\d{0,3}$/;
/** Words that mark a secret anywhere in a variable's name. "key", "pass" and "pw" do so only as the last word: key_map is harmless. */
const SURE_WORDS =
  /^(?:pwd|psk|secret|secrets|token|rootpw|credential|credentials|[a-z]{0,40}(?:password|passwd|passphrase|passcode))\d{0,3}$/;
/** Words that may follow such a word without changing its meaning. */
const TAIL = /^(?:crypted|encrypted|hash|hashed|again|value|plain|plaintext|base64|b64|enc)$/;
/** Values that are not secrets: a path to one, a well-known value, or a boot loader's variable that is filled in later. */
const HARMLESS =
  /^(?:\/|\.{1,2}\/|~\/|\$|%|@|[a-z][a-z0-9+.-]*:\/\/|(?:ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-)\S+ |-----BEGIN (?:PUBLIC KEY|CERTIFICATE|PGP PUBLIC)|[\w-]+(?:\/[\w.-]+)*\.(?:pub|pem|crt|cer|gpg|asc|key|txt|conf|cfg)$|(?:true|false|yes|no|on|off|always|never|none|null|ask|prompt|\*|!)$)/i;
/** NAME=VALUE, and NAME: VALUE to the end of a line, as in kernel arguments and most configurations. */
const ASSIGNMENT =
  /(?<![\w.$/-])([A-Za-z][\w./-]*)[ \t]*(?:=[ \t]*([^\s"'#;]+)|(?:=|:(?=[ \t]))[ \t]*(?:"([^"\n]*)"|'([^'\n]*)')|:[ \t]+([^\s"'#;]+)[ \t]*$)/gm;

/** The words of rootPassword, root_password, passwd/root-password. */
function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter((word) => word !== "");
}

function saysSecret(name: string): boolean {
  const words = wordsOf(name);
  if (words.includes("public")) return false;
  while (words.length > 1 && TAIL.test(words.at(-1)!)) words.pop();
  return WORDS.test(words.at(-1) ?? "");
}

/**
 * What a variable looks like, as in "a password's hash"; undefined if it looks harmless. Never contains any of the value.
 *
 * @param name of the variable, or of a key inside it
 */
export function secretIn(name: string, value: Value): string | undefined {
  if (value === null || typeof value === "boolean") return undefined;
  if (typeof value === "object") {
    const inside = Array.isArray(value)
      ? value.map((item) => [name, item] as const)
      : Object.entries(value as Readonly<Record<string, Value>>);
    for (const [inner, item] of inside) {
      const found = secretIn(inner, item);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  const text = String(value);
  const isNamed = saysSecret(name) || wordsOf(name).some((word) => SURE_WORDS.test(word));
  if (isNamed && text.trim() !== "" && !HARMLESS.test(text.trim())) return "a password or key, by its name";
  return secretInText(text)?.what;
}

/** The first part of a text that looks like a secret, and its line, from 1. */
export function secretInText(text: string): { readonly what: string; readonly line: number } | undefined {
  for (const [what, form] of [...FORMS, ...LINES]) {
    const at = text.search(form);
    if (at >= 0) return { what, line: lineAt(text, at) };
  }
  for (const { 1: name, 2: bare, 3: double, 4: single, 5: last, index } of text.matchAll(ASSIGNMENT)) {
    const value = (bare ?? double ?? single ?? last ?? "").trim();
    if (value !== "" && saysSecret(name!) && !HARMLESS.test(value))
      return { what: `a value of ${wordsOf(name!).at(-1)}`, line: lineAt(text, index) };
  }
  return undefined;
}

function lineAt(text: string, at: number): number {
  return text.slice(0, at).split("\n").length;
}
