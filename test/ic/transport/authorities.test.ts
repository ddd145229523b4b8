/** Files of certificates, good and bad. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { readBundle } from "../../../lib/ic/transport/authorities.ts";
import { temporaryDirectory } from "../../support/icfs.ts";
import { makeAuthority } from "../../support/private-authority.ts";

t.test("a bundle's certificates are read, whatever text surrounds them", async (t) => {
  const directory = await temporaryDirectory(t);
  const [one, other] = [await makeAuthority(directory, "one"), await makeAuthority(directory, "other")];
  const file = join(directory, "bundle.pem");
  await writeFile(file, `# One\r\n${one.certificate}\nOther\n${other.certificate}`);
  t.same(
    readBundle(file).map((pem) => pem.trim()),
    [one, other].map(({ certificate }) => certificate.trim()),
  );
});

t.test("a file that is not a valid bundle is refused at once", async (t) => {
  const directory = await temporaryDirectory(t);
  const { certificate } = await makeAuthority(directory);
  const damaged = certificate.replace(/\n.{20}/, "\nAAAAAAAAAAAAAAAAAAAA");
  const cases: [name: string, content: string | undefined, message: RegExp][] = [
    ["gone", undefined, /^--ca-bundle: cannot read .*ENOENT/],
    ["empty", "", /has no certificate in PEM/],
    ["torn", certificate.slice(0, 100), /has no certificate in PEM/],
    ["der", "\x30\x82\x01", /openssl x509 -inform der -in /],
    ["damaged", certificate + damaged, /^--ca-bundle: certificate 2 of 2 in .* is damaged/],
  ];
  for (const [name, content, message] of cases) {
    const file = join(directory, name);
    if (content !== undefined) await writeFile(file, content);
    t.throws(() => readBundle(file), { name: "UserError", message }, name);
  }
  await mkdir(join(directory, "directory"));
  t.throws(() => readBundle(join(directory, "directory")), { message: /is not a file/ });
});
