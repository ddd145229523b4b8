/** What machines got, boot by boot: the ledger's transfers, grouped by machine and time. */
import type { Transfer } from "./line.ts";

/** Milliseconds. A loader that asks nobody for so long has ended: the next file is another boot's. */
export const GAP_MS = 5 * 60_000;
/** Of one boot. What goes on is taken for the next one. */
export const MOST_TRANSFERS = 10_000;

export interface Boot {
  /** Undefined where none of its lines has one. */
  readonly mac: string | undefined;
  /** The last one. */
  readonly address: string;
  /** In the order in which they ended; one at least. */
  readonly transfers: readonly Transfer[];
}

interface Open {
  mac: string | undefined;
  address: string;
  readonly transfers: Transfer[];
  last: number;
}

/**
 * Groups transfers to boots, each of which comes as soon as a later line shows that it has ended. A boot is one machine's, which is told by
 * its MAC, or else by its address. The next one begins after a gap, or when a machine gets again the file that its boot began with.
 */
export async function* bootsOf(transfers: AsyncIterable<Transfer>): AsyncGenerator<Boot> {
  // The one that has been quiet for longest comes first.
  const open = new Map<string, Open>();
  for await (const transfer of transfers) {
    const time = Date.parse(transfer.time);
    for (const [machine, boot] of open) {
      if (time - boot.last <= GAP_MS) break;
      open.delete(machine);
      yield boot;
    }
    const { mac, address } = transfer;
    const machine = mac ?? address;
    const boot = open.get(machine);
    // So that it comes last from now on.
    open.delete(machine);
    if (boot !== undefined && goesOn(boot, transfer, time)) {
      boot.transfers.push(transfer);
      open.set(machine, Object.assign(boot, { address, last: time }));
    } else {
      if (boot !== undefined) yield boot;
      open.set(machine, { mac, address, transfers: [transfer], last: time });
    }
  }
  yield* open.values();
}

function goesOn({ transfers, last }: Open, { file }: Transfer, time: number): boolean {
  // A clock that was set back says nothing of the time in between.
  return Math.abs(time - last) <= GAP_MS && file !== transfers[0]!.file && transfers.length < MOST_TRANSFERS;
}
