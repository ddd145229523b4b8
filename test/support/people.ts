/** Several users with keys of their own, and a canister that one of them owns. */
import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { writeTree } from "../publish/trees.ts";
import { startCanister, type TestCanister } from "./canister-network.ts";

export interface Person {
  readonly principal: string;
  /** The file of the private key, mode 0600. */
  readonly pem: string;
  /** Runs icfs with this user's key. */
  icfs(...args: string[]): ReturnType<TestCanister["icfs"]>;
}

export interface OwnedCanister extends TestCanister {
  readonly id: string;
  /** A directory to publish, with one file. */
  readonly tree: string;
  /** Runs icfs as the owner and resolves to its stdout; a failure fails the test. */
  owner(...args: string[]): Promise<string>;
  /**
   * Publishes a tree with one file as the owner, and resolves to the JSON output.
   *
   * @param options of `icfs publish`, besides --json
   */
  publish(content: string, ...options: string[]): Promise<{ release: number; header: string }>;
  /** The list of `icfs releases --json`. */
  releases(): Promise<{ release: number; header: string; state: string }[]>;
  /** A new user, whose key is given with --identity: in PKCS#8 (ed25519) or SEC1 (secp256k1). */
  person(name: string, curve: "ed25519" | "secp256k1"): Promise<Person>;
}

export async function startOwnedCanister(t: Test): Promise<OwnedCanister> {
  const c = await startCanister(t);
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { file: "content" });
  const id = c.canister.toText();
  const owner: OwnedCanister["owner"] = async (...args) => {
    const { code, stdout, stderr } = await c.icfs(args);
    t.equal(code, 0, `icfs ${args[0]}: ${stderr}`);
    return stdout;
  };
  return {
    ...c,
    id,
    tree,
    owner,
    async publish(content, ...options) {
      await writeTree(tree, { file: content });
      return JSON.parse(await owner("publish", tree, id, "--json", ...options));
    },
    releases: async () => JSON.parse(await owner("releases", id, "--json")).releases,
    async person(name, curve) {
      const pem = join(c.directory, `${name}.pem`);
      await writeFile(pem, newKey(curve), { mode: 0o600 });
      const icfs: Person["icfs"] = (...args) => c.icfs([...args, "--identity", pem]);
      const { stdout, stderr } = await icfs("identity");
      if (stdout === "") throw new Error(stderr);
      return { principal: stdout.trim(), pem, icfs };
    },
  };
}

function newKey(curve: "ed25519" | "secp256k1"): string | Buffer {
  if (curve === "ed25519") {
    return generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" });
  }
  return generateKeyPairSync("ec", { namedCurve: curve }).privateKey.export({ type: "sec1", format: "pem" });
}
