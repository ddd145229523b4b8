/** Lines as packaging/dnsmasq-ledger writes them. */
import { createHash } from "node:crypto";

export const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
export const HEADER = "ab".repeat(32);
export const MAC = "52:54:00:69:63:66";

export interface Fields {
  readonly time?: string;
  readonly address?: string;
  readonly mac?: string;
  readonly file?: string;
  readonly size?: string;
  readonly origin?: string;
}

export const ORIGIN = `${CANISTER} 2 ${HEADER} ${"cd".repeat(32)} pxelinux.0`;

/** A line without the hash of the line before. */
export function body({
  time = "2026-11-30T07:00:00Z",
  address = "192.168.7.2",
  mac = MAC,
  file = "/srv/tftp/pxelinux.0",
  size = "42430",
  origin = ORIGIN,
}: Fields = {}): string {
  return `${time} ${address} ${mac} ${file} ${size} ${origin}`;
}

/** The lines, each with its line end and the hash of the line before. @param previous the hash in the first one */
export function chained(bodies: readonly string[], previous = "-"): string[] {
  return bodies.map((text) => {
    const line = `${text} ${previous}\n`;
    previous = sha256(line);
    return line;
  });
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** A time so many seconds after seven o'clock. */
export function at(seconds: number): string {
  return new Date(Date.parse("2026-11-30T07:00:00Z") + 1000 * seconds).toISOString().replace(".000", "");
}
