/** Which program has UDP port 69. */
import t from "tap";
import { tftp } from "../../lib/doctor/tftp.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";

const HEADER =
  "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const row = (address: string, inode: number) =>
  `  441: ${address} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 ${inode} 2 0000000000000000 0\n`;
const table = (...rows: string[]) => Buffer.from(HEADER + rows.join(""));
const owner = (name: string, inode: number) => ({
  "proc/314/comm": Buffer.from(`${name}\n`),
  "proc/314/fd/0": "->/dev/null" as const,
  "proc/314/fd/5": `->socket:[${inode}]` as const,
  "proc/9/comm": Buffer.from("another\n"),
});

t.test("no TFTP server", async (t) => {
  // Port 68 is 0x0044. Port 0x1069 only looks like 69: port 69 is 0x0045.
  const host = await hostWith(t, { "proc/net/udp": table(row("00000000:0044", 7), row("0100007F:1069", 8)) });
  t.match(
    await tftp.run(host),
    exactly({ level: "warn", message: /no TFTP server runs/, advice: /--tftp-root=DIR/ }),
  );
});

t.test("a TFTP server, over IPv4 or IPv6", async (t) => {
  const four = await hostWith(t, {
    "proc/net/udp": table(row("017AA8C0:0045", 77)),
    ...owner("dnsmasq", 77),
  });
  t.same(await tftp.run(four), [{ level: "ok", message: "dnsmasq (process 314) has UDP port 69" }]);
  const six = await hostWith(t, {
    "proc/net/udp": table(),
    "proc/net/udp6": table(row("00000000000000000000000000000000:0045", 78)),
    ...owner("in.tftpd", 78),
  });
  t.match(await tftp.run(six), exactly({ level: "ok", message: /^in\.tftpd/ }));
});

t.test("another program, and a program that only root may see", async (t) => {
  const udp = { "proc/net/udp": table(row("00000000:0045", 79)) };
  t.match(
    await tftp.run(await hostWith(t, { ...udp, ...owner("python3", 79) })),
    exactly({ level: "warn", message: /^python3 \(process 314\) has UDP port 69: it is not a TFTP server/ }),
  );
  t.match(
    await tftp.run(await hostWith(t, { ...udp, ...owner("python3", 80) })),
    exactly({ level: "ok", message: /only root may see/ }),
  );
});
