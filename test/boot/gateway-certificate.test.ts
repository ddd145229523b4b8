/**
 * nginx with the TLS lines of examples/nginx.conf believes a gateway only if its certificate is for the canister's name, from an authority
 * that nginx trusts. The local gateway behind a TLS proxy plays the main network's gateway.
 */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { HOST_ADDRESS, makeNamespace } from "../../demo/namespace.ts";
import { publish } from "../../lib/publish/publish.ts";
import { PLAINLY } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { type Authority, makeAuthority } from "../support/private-authority.ts";
import { stackOf } from "../support/stack.ts";
import { startCache } from "./http-site.ts";

t.setTimeout(600_000);

const stack = stackOf(t);
const c = await startCanister(t);
const tree = join(c.directory, "tree");
await mkdir(tree);
for (const name of ["first", "second", "third", "fourth"])
  await writeFile(join(tree, name), `the ${name} file`);
const options = { canister: c.canister, agent: c.publisherAgent, source: c.source(), note: "" };
await publish({ ...PLAINLY, ...options, directory: tree });
const canister = c.canister.toText();
const name = `${canister}.icp0.io`;
const namespace = stack.use(await makeNamespace(`icfs-tls-${process.pid}`));
const directory = join(c.directory, "site");
const upstream = await startCache(stack, { canister, namespace, url: c.url, directory, env: c.env });

/** @returns the status and the body */
async function fetched(path: string): Promise<string> {
  const command = namespace.inside("curl", [
    ...["--silent", "--show-error", "--write-out", " %{http_code}"],
    `http://${HOST_ADDRESS}${path}`,
  ]);
  return (await promisify(execFile)(...command)).stdout;
}

const others = await makeAuthority(c.directory, "others");
const shown = async (authority: Authority, host: string) => upstream.show(await authority.certify(host));

t.test("nginx accepts a certificate for the canister's name from a trusted authority", async (t) => {
  t.equal(await fetched("/.icfs/at/1/first"), "the first file 200");
  t.same([...upstream.names], [name], "nginx asks for the certificate of the canister's name");
});

t.test("nginx refuses a certificate for the canister's name from another authority", async (t) => {
  await shown(others, name);
  const asked = upstream.asked.length;
  t.match(await fetched("/.icfs/at/1/second"), / 502$/);
  t.equal(
    upstream.asked.length,
    asked,
    "nginx sends no request to a gateway with another authority's certificate",
  );
  t.equal(await fetched("/.icfs/at/1/first"), "the first file 200", "a cached file is still served");
});

t.test("nginx refuses a certificate for another name from the trusted authority", async (t) => {
  await shown(upstream.authority, "icp0.io");
  const asked = upstream.asked.length;
  t.match(await fetched("/.icfs/at/1/third"), / 502$/);
  t.equal(
    upstream.asked.length,
    asked,
    "nginx sends no request to a gateway with a certificate for another name",
  );
});

t.test("nginx accepts a wildcard certificate from the trusted authority", async (t) => {
  await shown(upstream.authority, `*.icp0.io`);
  t.equal(
    await fetched("/.icfs/at/1/fourth"),
    "the fourth file 200",
    "a file is fetched from a gateway with a wildcard certificate",
  );
});
