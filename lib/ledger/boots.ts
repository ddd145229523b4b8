/** Groups the ledger's transfers into boots, by machine and time. */
import type { Transfer } from "./line.ts";

/** Milliseconds. After a gap this long, the boot has ended, and the next file belongs to another one. */
export const GAP_MS = 5 * 60_000;
/** The limit of one boot. Further transfers count as the next one. */
export const MOST_TRANSFERS = 10_000;

export interface Boot {
  /** Undefined if none of its lines has a MAC. */
  readonly mac: string | undefined;
  /** The last address it had. */
  readonly address: string;
  /** In the order in which they ended; at least one. */
  readonly transfers: readonly Transfer[];
}

interface Open {
  mac: string | undefined;
  address: string;
  readonly transfers: Transfer[];
  last: number;
}

/**
 * Groups transfers into boots, each of which is yielded as soon as a later line shows that it has ended. A boot belongs to one
 * machine, identified by its MAC, or else by its address: a transfer of a web server belongs to the machine that has the address.
 * A boot ends after a gap, or when the machine fetches its first file again.
 */
export async function* bootsOf(transfers: AsyncIterable<Transfer>): AsyncGenerator<Boot> {
  // In the order of their last transfers, the oldest first.
  const open = new Map<string, Open>();
  /** The machines of open boots, by their addresses. */
  const machines = new Map<string, string>();
  const close = (machine: string, boot: Open) => {
    open.delete(machine);
    if (machines.get(boot.address) === machine) machines.delete(boot.address);
  };
  for await (const transfer of transfers) {
    const time = Date.parse(transfer.time);
    for (const [machine, boot] of open) {
      // The difference is absolute, because a clock that was set back does not show how much time has passed.
      if (Math.abs(time - boot.last) <= GAP_MS) break;
      close(machine, boot);
      yield boot;
    }
    const { mac, address } = transfer;
    const known = machines.get(address);
    // The MAC becomes known in the middle of a boot.
    const isNamedNow = mac !== undefined && known === address && !open.has(mac);
    const before = mac === undefined || isNamedNow ? (known ?? address) : mac;
    const machine = mac ?? before;
    const boot = open.get(before);
    // Removed here, so that it is inserted again at the end.
    if (boot !== undefined) close(before, boot);
    if (boot !== undefined && goesOn(boot, transfer, time)) {
      boot.transfers.push(transfer);
      open.set(machine, Object.assign(boot, { mac: mac ?? boot.mac, address, last: time }));
    } else {
      if (boot !== undefined) yield boot;
      open.set(machine, { mac: mac ?? boot?.mac, address, transfers: [transfer], last: time });
    }
    machines.set(address, machine);
  }
  yield* open.values();
}

function goesOn({ transfers, last }: Open, { file }: Transfer, time: number): boolean {
  return Math.abs(time - last) <= GAP_MS && file !== transfers[0]!.file && transfers.length < MOST_TRANSFERS;
}

/** Merges several logs, each in the order of time, into one in that order. */
export async function* inOrderOfTime(logs: readonly AsyncIterable<Transfer>[]): AsyncGenerator<Transfer> {
  const sources = logs.map((log) => log[Symbol.asyncIterator]());
  const next = await Promise.all(sources.map((source) => source.next()));
  try {
    for (;;) {
      let first = -1;
      for (const [i, { done, value }] of next.entries()) {
        // All times are UTC in strings of the same length.
        if (!done && (first < 0 || value.time < next[first]!.value.time)) first = i;
      }
      if (first < 0) return;
      yield next[first]!.value;
      next[first] = await sources[first]!.next();
    }
  } finally {
    for (const source of sources) await source.return?.();
  }
}
