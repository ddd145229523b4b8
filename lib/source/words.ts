/** Releases, and what vouches for them, in words: for people, and for --json. */
import type { Release, Verification } from "./source.ts";

/** What vouches for bytes, for people. */
export const VOUCHED: Readonly<Record<Verification, string>> = {
  certified: "certified by the subnet",
  replicated: "read through the subnet's consensus",
  "node-signature": "signed by the node that answered, and certified by nobody",
};

/** A release in words: "release 3", "snapshot 0123456789abcdef". */
export function nameOf({ number, hash }: Pick<Release, "number" | "hash">): string {
  return number === undefined ? `snapshot ${hash.toString("hex", 0, 8)}` : `release ${number}`;
}

/** A release in the form of --json: `header` is SHA-256 of the release's header, `snapshot` of the list. In hexadecimal. */
export interface ReleaseNames {
  readonly release?: number;
  readonly header?: string;
  readonly snapshot?: string;
  /** The channel that points to it, if one was requested, and the serial of its last record. */
  readonly channel?: string;
  readonly serial?: number;
}

/** nameOf(), of a release in the form of --json. */
export function namedInWords({ release, snapshot }: ReleaseNames): string {
  return release === undefined ? `snapshot ${snapshot?.slice(0, 16)}` : `release ${release}`;
}

/** Several releases as --json has them: those of all channels. */
export interface ManyNames extends ReleaseNames {
  readonly channels?: readonly ReleaseNames[];
}

/** What is served, in words: namedInWords() or, of all channels, "canary (release 2), stable (release 1)". */
export function servedInWords(served: ManyNames): string {
  const { channels } = served;
  if (channels === undefined) return namedInWords(served);
  if (channels.length === 0) return "no channel";
  return channels.map((one) => `${one.channel} (${namedInWords(one)})`).join(", ");
}

/** A release in the form of --json. */
export function namesOf({
  number,
  hash,
  channel,
}: Pick<Release, "number" | "hash" | "channel">): ReleaseNames {
  const hex = hash.toString("hex");
  if (number === undefined) return { snapshot: hex };
  return {
    release: number,
    header: hex,
    ...(channel && { channel: channel.name, serial: channel.serial }),
  };
}
