/**
 * icfs releases: lists a canister's history. The newest release's certificate proves all releases through the chain of parents;
 * which of them are still held is the canister's own report.
 */
import { Principal } from "@icp-sdk/core/principal";
import { Command } from "commander";
import { jsonLine, oneLine } from "../log.ts";
import { patientReader } from "../publish/patience.ts";
import { ancestors } from "../source/icfs/chain.ts";
import { openHead, openReader } from "../source/icfs/open-release.ts";
import type { VerifiedHeader } from "../source/icfs/release-reader.ts";
import { sizeText } from "../units.ts";
import { reader } from "./calls.ts";
import { REQUEST_TIMEOUT_MS } from "./connect.ts";
import { flag, type NetworkOptions, withNetwork } from "./options.ts";

interface ReleasesOptions extends NetworkOptions {
  readonly json?: boolean;
}

/** Whether the release's tree is there for good, there for now, or gone. */
type State = "kept" | "held" | "dropped";

interface Release {
  readonly release: number;
  /** SHA-256 of its header, in hexadecimal. */
  readonly header: string;
  readonly state: State;
  readonly publishedAt: string;
  readonly publisher: string;
  readonly files: number;
  readonly bytes: number;
  readonly note: string;
}

export function releasesCommand(): Command {
  const command = new Command("releases")
    .description(
      "list a canister's releases, newest first, each proved by the newest one's certificate; whether one is held, kept or dropped is the canister's own word",
    )
    .argument("<canister>", "canister id")
    .addOption(
      flag(
        "--json",
        "print one object: releases, each with release, header, state, publishedAt, publisher, files, bytes, note",
      ),
    );
  return withNetwork(command, "none, anonymous").action(releases);
}

async function releases(canisterId: string, options: ReleasesOptions): Promise<void> {
  const { address, canister, explained } = await reader(canisterId, options);
  const source = patientReader(openReader(address, REQUEST_TIMEOUT_MS));
  const head = await openHead(address, source);
  const status = await explained(canister.status(), { what: "tell its status", by: "reader" });
  // Sets, because a canister may hold a hundred thousand releases.
  const known = { newest: status.newest, held: new Set(status.held), kept: new Set(status.kept) };
  const list = [releaseOf(head, known)];
  for await (const ancestor of ancestors(head, source)) list.push(releaseOf(ancestor, known));
  console.log(options.json ? jsonLine({ releases: list }) : list.map(describe).join("\n"));
}

/** What a canister's status reports about its releases. */
interface Known {
  readonly newest: bigint;
  readonly held: ReadonlySet<bigint>;
  readonly kept: ReadonlySet<bigint>;
}

function releaseOf({ header, hash }: VerifiedHeader, status: Known): Release {
  const { number, publishedAt, publisher, totals, note } = header;
  return {
    release: number,
    header: hash.toString("hex"),
    state: stateOf(BigInt(number), status),
    publishedAt: publishedAt.toISOString(),
    publisher: Principal.fromUint8Array(Uint8Array.from(publisher)).toText(),
    files: totals.files,
    bytes: totals.bytes,
    note,
  };
}

function stateOf(number: bigint, { newest, held, kept }: Known): State {
  if (kept.has(number)) return "kept";
  // The status may be slightly older than the newest release.
  return number >= newest || held.has(number) ? "held" : "dropped";
}

function describe({ release, header, state, publishedAt, publisher, files, bytes, note }: Release): string {
  return [
    `release ${release} (${state})`,
    `  header     ${header}`,
    `  published  ${publishedAt} by ${publisher}`,
    `  tree       ${files} files, ${sizeText(bytes)}`,
    ...(note === "" ? [] : [`  note       ${oneLine(note)}`]),
  ].join("\n");
}
