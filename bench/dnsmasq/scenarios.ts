/** What is measured. A scenario more is an entry more. */
import { BOOT_FILES, OTHERS } from "./tree.ts";

/** As `icfs localnet` takes them. */
export const NETWORKS = {
  near: [],
  /** A canister on another continent. */
  far: ["--latency", "80", "--bandwidth", "50"],
} as const satisfies Record<string, readonly string[]>;

export interface Scenario {
  readonly name: string;
  /** Options of `icfs mount`; undefined: dnsmasq serves the directory itself. */
  readonly mount: readonly string[] | undefined;
  readonly network: keyof typeof NETWORKS;
  /** The files that each client reads, in order. */
  readonly clients: readonly (readonly string[])[];
  /** Each client reads its files once, instead of over and over. */
  readonly once?: boolean;
  /** While clients read: the network says nothing any more from the start, or there is a new release. */
  readonly event?: "outage" | "release";
}

/** Two machines that boot at once, of which one is a little behind. */
const BOOTS = [BOOT_FILES, [OTHERS[0]!, ...BOOT_FILES]];
/** One that boots, and two that read what nobody has read before. */
const COLD_READS = [BOOT_FILES, OTHERS, OTHERS.toReversed()];
const FETCHED = ["--prefetch", "all", "--ready", "hydrated"];
const ON_DEMAND = ["--prefetch", "none"];
/** A new release goes live as soon as it can, in the middle of everything. */
const AT_ONCE = ["--refresh", "1", "--quiet", "0"];

const PLAIN = { network: "near", clients: BOOTS } as const;

/** The first one is what the others are compared with. */
export const SCENARIOS: readonly Scenario[] = [
  { ...PLAIN, name: "local directory", mount: undefined },
  { ...PLAIN, name: "warm", mount: FETCHED },
  { ...PLAIN, name: "warm, over libfuse", mount: [...FETCHED, "--transport", "fuse-native"] },
  { ...PLAIN, name: "outage, all fetched", mount: FETCHED, clients: COLD_READS, event: "outage" },
  { ...PLAIN, name: "outage, nothing fetched", mount: ON_DEMAND, clients: COLD_READS, event: "outage" },
  {
    ...PLAIN,
    name: "outage, reads of 2 s",
    mount: [...ON_DEMAND, "--read-timeout", "2"],
    clients: COLD_READS,
    event: "outage",
  },
  { ...PLAIN, name: "cold boot, fetching all", network: "far", mount: ["--prefetch", "all"], once: true },
  { ...PLAIN, name: "cold boot, fetching boots", network: "far", mount: ["--prefetch", "boot"], once: true },
  { ...PLAIN, name: "cold boot, on demand", network: "far", mount: ON_DEMAND, once: true },
  {
    ...PLAIN,
    name: "switch, fetched before",
    network: "far",
    mount: [...FETCHED, ...AT_ONCE],
    event: "release",
  },
  {
    ...PLAIN,
    name: "switch, on demand",
    network: "far",
    mount: [...ON_DEMAND, ...AT_ONCE],
    event: "release",
  },
];
