/** Texts that look like secrets, and texts that only sound like them. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { readMachines } from "../../lib/machines/machines.ts";
import { secretIn, secretInText } from "../../lib/machines/secrets.ts";
import type { Value } from "../../lib/machines/values.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH";
/** In pieces, so that scanners of sources do not take them for real secrets. */
const SECRETS: Readonly<Record<string, string>> = {
  "SHA-512 crypt": `$6$${"saltsalt"}$${LETTERS}`,
  yescrypt: `$y$j9T$${"salt"}$${LETTERS}`,
  bcrypt: `$2b$12$${LETTERS}`,
  "in an argument": `passwd/root-password-crypted=$6$${"salt"}$${LETTERS}`,
  "a hash of GRUB's": `grub.pbkdf2.sha512.10000.${"AB".repeat(20)}`,
  "a hash of LDAP's": `{SSHA}${LETTERS}=`,
  "a private key": `-----BEGIN OPENSSH ${"PRIVATE"} KEY-----\nb3Bl\n`,
  AWS: `AKIA${"ABCDEFGHIJ234567"}`,
  GitHub: `ghp_${LETTERS}`,
  GitLab: `glpat-${LETTERS}`,
  Slack: `xoxb-${"1234567890"}-x`,
  "a JSON web token": `eyJ${"hbGciOiJI"}.eyJ${"zdWIiOiIx"}.${LETTERS}`,
  "a URL with a login": "preseed/url=http://bob:hunter2@host/preseed.cfg",
  "an argument": "console=ttyS0 rd.neednet=1 k3s.token=abcdef",
  "Anaconda's argument": "inst.text inst.vncpassword=hunter2",
  "a login of dracut's": "netroot=iscsi:bob:hunter2@192.0.2.1::::iqn.2026-11.net.example:disk",
  Tailscale: `tskey-auth-${"kAbcdef123CNTRL"}-${LETTERS}`,
  "a line of a preseed file": "d-i passwd/root-password password hunter2",
  "a line of Kickstart": "# x\nrootpw --plaintext hunter2",
  "a line of GRUB": "password root hunter2",
  "a line of SYSLINUX": "  MENU PASSWD hunter2",
  "a line of iPXE": "set net0/password hunter2",
  "a line of cloud-init": 'password: "hunter2"',
};
for (const [what, text] of Object.entries(SECRETS))
  t.test(`a secret: ${what}`, async (t) => {
    t.type(secretIn("args", text), "string");
    t.match(secretInText(`#\n#\n${text}`), { line: text.startsWith("# x") ? 4 : 3 });
    t.notMatch(secretInText(text)?.what, "hunter2");
  });

t.test("names that suggest a secret", async (t) => {
  for (const name of [
    "password",
    "root_password",
    "rootPassword",
    "root-passwd",
    "user_password_crypted",
    "password_of_root",
    "wifi_psk",
    "secret",
    "join_token",
    "key",
    "api_key",
    "luks_passphrase",
    "credentials",
    "userpassword",
    "vncpassword",
    "password2",
    "root_pw",
  ])
    t.equal(secretIn(name, "hunter2"), "a password or key, by its name", name);
  t.ok(secretIn("password", 1234));
  t.ok(secretIn("users", [{ name: "bob", password: "hunter2" }]), "a secret in a list of maps");
  t.ok(secretIn("passwords", { bob: [`$6$${"salt"}$${LETTERS}`] }));
  t.ok(secretIn("tokens", ["hunter2"]), "a secret in a list");
});

t.test("values and texts that are not secrets", async (t) => {
  const harmless: readonly (readonly [string, Value])[] = [
    ["ssh_key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGh bob@host"],
    ["key", "/etc/keys/host.pem"],
    ["token", "https://vault.example/token"],
    ["gpg_key", "keys/archive.gpg"],
    ["password", ""],
    ["password", null],
    ["password", true],
    ["root_password", "*"],
    ["keymap", "us"],
    ["key_map", "us"],
    ["monkey", "banana"],
    ["compass", "north"],
    ["wireguard_public_key", LETTERS],
    ["password_login", "off"],
    ["ask_password", "always"],
    ["args", "netroot=iscsi:192.0.2.1::::iqn.2026-11.net.example:disk pwm=x"],
    ["args", "netroot=iscsi:@192.0.2.1::3260:1:iqn.2026-11.net.example:disk root=x@y"],
    [
      "args",
      "vga=788 rd.luks.key=/keyfile keymap=de console=ttyS0,115200 auto=true url=http://host/preseed.cfg",
    ],
    ["args", "passwd/make-user=false passwd/root-login=true user-setup/allow-password-weak=true --- quiet"],
    ["args", "initrd=initrd.gz ip=dhcp root=UUID=52a7e1a2-9a3c-4a52-8d4e-3f6f1d0c9e11 $HOME $6"],
    ["uuid", "52a7e1a2-9a3c-4a52-8d4e-3f6f1d0c9e11"],
    ["sha256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
  ];
  for (const [name, value] of harmless) t.equal(secretIn(name, value), undefined, `${name}: ${value}`);
  for (const text of [
    `set net0/password \${password}`,
    "d-i passwd/make-user boolean false",
    "rootpw --lock",
    "# Ask for the password: it is on the sticker",
    "LABEL token\n  KERNEL linux\n",
    "password_file = /etc/secret",
    "menuentry 'x' --class key { }",
  ])
    t.equal(secretInText(text), undefined, text);
});

t.test("a long text without secrets is scanned quickly", async (t) => {
  for (const text of [
    "\n",
    " ",
    "a",
    "=",
    "-",
    "$6$",
    "a ",
    "password",
    "eyJ",
    "http://a:",
    "K10a",
    "a.",
    "pass word ",
  ])
    t.doesNotThrow(() => secretInText(text.repeat(1_000_000 / text.length)), text);
});

t.test("a secret in a file is reported with its owner and its line, but never shown", async (t) => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, "hosts.yaml");
  await writeFile(
    file,
    `defaults:
  root_password: hunter2
groups:
  web: {api_key: hunter2}
machines:
  - mac: 52:54:00:69:63:66
    name: web-1
    group: web
    args: quiet
    users:
      - {name: bob, hash: $6$salt$${LETTERS}}
`,
  );
  const message = await readMachines({ file, templates: undefined, allowSecrets: false }).then(
    () => "",
    (error) => error.message,
  );
  t.equal(
    message.replaceAll(file, "F"),
    `F:2: defaults: root_password has what looks like a password or key, by its name
  F:4: the group web: api_key has what looks like a password or key, by its name
  F:10: the machine web-1: users has what looks like a password's hash
  A release is no place for secrets: whoever may read the canister reads them, and so does each machine on the network. Have machines fetch them elsewhere, or say --allow-secrets`,
  );
  t.ok(await readMachines({ file, templates: undefined, allowSecrets: true }));
});
