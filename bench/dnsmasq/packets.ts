/** The packets of the probes, and how to match an answer to its query. */

/** The DHCP format (RFC 2131): a fixed header of 236 bytes, a magic number, options. */
const DHCP_HEADER_BYTES = 236;
const DHCP_MAGIC = Buffer.from([99, 130, 83, 99]);
/** Asks for a broadcast answer: the client does not have the address it asks for. */
const BROADCAST_FLAG = 0x8000;
const OPTION_MESSAGE_TYPE = 53;
const DISCOVER = 1;
const OFFER = 2;
const OPTION_END = 255;

/** A DHCPDISCOVER. @param id of the transaction, 32 bits */
export function dhcpDiscover(id: number, mac: string): Buffer {
  const packet = Buffer.alloc(DHCP_HEADER_BYTES);
  // A request over Ethernet, whose addresses have 6 bytes.
  packet.set([1, 1, 6, 0]);
  packet.writeUInt32BE(id, 4);
  packet.writeUInt16BE(BROADCAST_FLAG, 10);
  packet.write(mac.replaceAll(":", ""), 28, "hex");
  return Buffer.concat([packet, DHCP_MAGIC, Buffer.from([OPTION_MESSAGE_TYPE, 1, DISCOVER, OPTION_END])]);
}

/** The transaction of a DHCPOFFER; undefined when the packet is something else. */
export function dhcpOffered(packet: Buffer): number | undefined {
  const options = DHCP_HEADER_BYTES + DHCP_MAGIC.length;
  if (packet.length < options + 3 || packet[0] !== 2) return undefined;
  // dnsmasq writes the type first.
  const isOffer = packet[options] === OPTION_MESSAGE_TYPE && packet[options + 2] === OFFER;
  return isOffer ? packet.readUInt32BE(4) : undefined;
}

/** A DNS query (RFC 1035) for a name's IPv4 address. @param id 16 bits */
export function dnsQuery(id: number, name: string): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  // Recursion desired, as every stub resolver requests; one question.
  header.writeUInt16BE(0x0100, 2);
  header.writeUInt16BE(1, 4);
  const labels = name
    .split(".")
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  // The root, type A, class IN.
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

/** The query that a successful answer belongs to; undefined when the packet is something else. */
export function dnsAnswered(packet: Buffer): number | undefined {
  if (packet.length < 12) return undefined;
  const flags = packet.readUInt16BE(2);
  const isAnswer = (flags & 0x8000) !== 0 && (flags & 0x000f) === 0 && packet.readUInt16BE(6) > 0;
  return isAnswer ? packet.readUInt16BE(0) : undefined;
}
