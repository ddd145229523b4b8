"""A client of QEMU's own TFTP server (libslirp), without a virtual machine: it sends QEMU's -netdev socket Ethernet frames in UDP packets.

slirp-tftp.py PORT_OF_QEMU OWN_PORT NAME...: prints a JSON object with the answer for each name: the error, or the number of bytes.
"""
import json, socket, struct, sys

OURS = bytes.fromhex("525400123456")
ADDRESS = bytes([10, 0, 2, 15])
SERVER = bytes([10, 0, 2, 2])
EVERYBODY = b"\xff" * 6
SECONDS = 60
BLOCK = 512

qemu, own = int(sys.argv[1]), int(sys.argv[2])
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind(("127.0.0.1", own))
line.connect(("127.0.0.1", qemu))
line.settimeout(SECONDS)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def arp(operation, to, target):
    fields = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + OURS + ADDRESS + to + target
    line.send(EVERYBODY + OURS + b"\x08\x06" + fields)


def send(port, to, data):
    udp = struct.pack("!HHHH", port, to, 8 + len(data), 0) + data
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ADDRESS + SERVER
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    line.send(gateway + OURS + b"\x08\x00" + header + udp)


def receive(port):
    """The next UDP packet for a port: its sender and its content."""
    while True:
        frame = line.recv(65536)
        if frame[12:14] == b"\x08\x06":
            if frame[20:22] == b"\x00\x01" and frame[38:42] == ADDRESS:
                arp(2, frame[22:28], frame[28:32])
        elif frame[12:14] == b"\x08\x00" and frame[23] == 17:
            sender, to, length = struct.unpack("!HHH", frame[34:40])
            if to == port:
                return sender, frame[42 : 34 + length]


arp(1, b"\0" * 6, SERVER)
while True:
    frame = line.recv(65536)
    if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02":
        gateway = frame[22:28]
        break


def fetch(name, port):
    send(port, 69, struct.pack("!H", 1) + name.encode() + b"\0octet\0")
    received = 0
    while True:
        sender, packet = receive(port)
        kind, number = struct.unpack("!HH", packet[:4])
        if kind == 5:
            return f"error {number}: {packet[4:].rstrip(bytes(1)).decode()}"
        send(port, sender, struct.pack("!HH", 4, number))
        received += len(packet) - 4
        if len(packet) - 4 < BLOCK:
            return f"{received} bytes"


print(json.dumps({name: fetch(name, 2000 + i) for i, name in enumerate(sys.argv[3:])}))
