/**
 * Makes docs/page.png, a screenshot of the page of a canister with Debian's netboot tree, on a local network.
 *
 *     node scripts/screenshot.ts
 */
import { copyFile, cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deploy, startLocalnet } from "../demo/icfs.ts";
import { run } from "../demo/process.ts";
import { debianTree } from "../demo/tree.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { screenshot } from "../test/support/browser.ts";

const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const here = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

await using workspace = await makeWorkspace("icfs-screenshot");
const { directory, env } = workspace;
const tree = join(directory, "tree");
await cp(debianTree().directory, tree, { recursive: true, verbatimSymlinks: true });
await copyFile(here("examples/boot.ipxe"), join(tree, "boot.ipxe"));
const { localnet, url } = await startLocalnet({ env });
await using _ = localnet;
await deploy(CANISTER, url, { env });
const note = "Debian's installer, with a script for iPXE";
await run(here("bin/icfs"), ["publish", tree, CANISTER, "--network", url, "--note", note], { env });
const page = `http://${CANISTER}.localhost:${new URL(url).port}/.icfs/`;
await screenshot(page, here("docs/page.png"), { width: 900, height: 2420 }, { env });
