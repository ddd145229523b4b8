/** The scenarios to measure. */
import { BOOT_FILES, OTHERS } from "./tree.ts";

/** Options of `icfs localnet`. */
export const NETWORKS = {
  near: [],
  /** A canister on another continent. */
  far: ["--latency", "80", "--bandwidth", "50"],
} as const satisfies Record<string, readonly string[]>;

export interface Scenario {
  readonly name: string;
  /** The scenario to compare with, a local directory under the same load; undefined: this is one. */
  readonly local?: string;
  /** Options of `icfs mount`; undefined: dnsmasq serves the directory itself. */
  readonly mount: readonly string[] | undefined;
  readonly network: keyof typeof NETWORKS;
  /** The mount asks only a static mirror of that network, on the same machine. */
  readonly mirror?: true;
  /** The files that each client reads, in order. */
  readonly clients: readonly (readonly string[])[];
  /** Each client reads its files once, instead of over and over. */
  readonly once?: boolean;
  /** What happens while clients read: an outage from the start, or a new release. */
  readonly event?: "outage" | "release";
}

/** Two machines that boot together, one slightly behind. */
const BOOTS = [BOOT_FILES, [OTHERS[0]!, ...BOOT_FILES]];
/** One machine that boots, and two that read files nobody has read before. */
const COLD_READS = [BOOT_FILES, OTHERS, OTHERS.toReversed()];
const FETCHED = ["--prefetch", "all", "--ready", "hydrated"];
const ON_DEMAND = ["--prefetch", "none"];
/** A new release goes live as soon as possible, while clients read. Each check takes 50 ms of processor time. */
const AT_ONCE = ["--refresh", "5", "--quiet", "0"];

const PLAIN = { local: "local, two boots", network: "near", clients: BOOTS } as const;
const OUTAGE = {
  local: "local, three clients",
  network: "near",
  clients: COLD_READS,
  event: "outage",
} as const;
const RELEASE = { local: "local, a release made", network: "far", clients: BOOTS, event: "release" } as const;

/** Each scenario follows the one it is compared with. */
export const SCENARIOS: readonly Scenario[] = [
  { name: PLAIN.local, network: "near", clients: BOOTS, mount: undefined },
  { ...PLAIN, name: "warm", mount: FETCHED },
  { ...PLAIN, name: "warm, over libfuse", mount: [...FETCHED, "--transport", "fuse-native"] },
  { ...PLAIN, name: "cold, from a mirror", mirror: true, mount: ON_DEMAND },
  { ...PLAIN, name: "cold, fetching all from a mirror", mirror: true, mount: ["--prefetch", "all"] },
  { name: OUTAGE.local, network: "near", clients: COLD_READS, mount: undefined },
  { ...OUTAGE, name: "outage, all fetched", mount: FETCHED },
  { ...OUTAGE, name: "outage, nothing fetched", mount: ON_DEMAND },
  { ...OUTAGE, name: "outage, reads of 2 s", mount: [...ON_DEMAND, "--read-timeout", "2"] },
  { ...PLAIN, name: "cold boot, fetching all", network: "far", mount: ["--prefetch", "all"], once: true },
  { ...PLAIN, name: "cold boot, fetching boots", network: "far", mount: ["--prefetch", "boot"], once: true },
  { ...PLAIN, name: "cold boot, on demand", network: "far", mount: ON_DEMAND, once: true },
  // Publishing takes processor time from any server.
  { name: RELEASE.local, network: "far", clients: BOOTS, event: "release", mount: undefined },
  { ...RELEASE, name: "switch, fetched before", mount: [...FETCHED, ...AT_ONCE] },
  { ...RELEASE, name: "switch, on demand", mount: [...ON_DEMAND, ...AT_ONCE] },
];
