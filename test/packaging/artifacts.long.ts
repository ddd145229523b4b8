/** `make artifacts` builds a release: each file has package.json's version, its hash is beside it, and a second build gives the same. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { run } from "../../demo/process.ts";
import { ROOT } from "../support/imports.ts";
import { make } from "../support/make.ts";

t.setTimeout(1_800_000);

const RELEASE = join(ROOT, "build/release");
const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
const architecture = (await run("dpkg", ["--print-architecture"])).trim();
const [npm, deb] = [`icfs-${version}.tgz`, `icfs_${version}_${architecture}.deb`];

await make("artifacts");
const sums = await readFile(join(RELEASE, "SHA256SUMS"), "utf8");

t.test("all artifacts exist, with their hashes", async (t) => {
  t.same((await readdir(RELEASE)).sort(), ["SHA256SUMS", npm, deb, "icfs.did", "icfs.wasm"].sort());
  const named = sums
    .trimEnd()
    .split("\n")
    .map((line) => line.split("  ")[1]);
  t.same(named.sort(), [npm, deb, "icfs.did", "icfs.wasm"].sort());
  await run("sh", ["-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', RELEASE]);
  t.ok(
    (await readFile(join(RELEASE, "icfs.wasm"))).equals(await readFile(join(ROOT, "build/icfs.wasm"))),
    "icfs.wasm is the module that the tests install",
  );
});

t.test("every artifact has this version", async (t) => {
  const packed = await run("tar", ["-xzOf", join(RELEASE, npm), "package/package.json"]);
  t.equal(JSON.parse(packed).version, version);
  t.equal((await run("dpkg-deb", ["--field", join(RELEASE, deb), "Version"])).trim(), version);
  const inDeb = (path: string) =>
    run("sh", ["-c", `dpkg-deb --fsys-tarfile "$0" | tar -xO ./usr/${path}`, join(RELEASE, deb)]);
  t.equal(JSON.parse(await inDeb("lib/icfs/package.json")).version, version);
  const manual = await run("sh", [
    "-c",
    'dpkg-deb --fsys-tarfile "$0" | tar -xO ./usr/share/man/man1/icfs.1.gz | zcat',
    join(RELEASE, deb),
  ]);
  t.match(manual, version);
});

t.test("a second build gives the same artifacts", async (t) => {
  await make("artifacts");
  t.equal(await readFile(join(RELEASE, "SHA256SUMS"), "utf8"), sums);
});
